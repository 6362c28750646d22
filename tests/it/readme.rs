//! README.md's first example is what happens when a stranger types it.
use crate::cli::in_directory;
use crate::cli::serve::Serving;
use crate::commands::redact::with_days;
use jiff::civil::Date;
use nix::sys::signal::Signal;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const README: &str = include_str!("../../README.md");

/// What is typed, and what it is said to print; nothing where nothing is said.
struct Step {
    typed: String,
    shown: Option<String>,
}

/// The blocks of code of a section, step by step.
fn steps(section: &str) -> Vec<Step> {
    let text = README.split(&format!("\n## {section}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    let mut steps = Vec::new();
    for block in text.split("```").skip(1).step_by(2) {
        let (language, code) = block.split_once('\n').unwrap();
        if language != "console" {
            steps.push(Step { typed: code.to_owned(), shown: None });
            continue;
        }
        for step in code.strip_prefix("$ ").unwrap().split("\n$ ") {
            let (typed, shown) = step.trim_end().split_once('\n').unwrap_or((step.trim_end(), ""));
            steps.push(Step { typed: typed.to_owned(), shown: Some(shown.to_owned()) });
        }
    }
    steps
}

/// What a shell prints, in the directory where all of it is typed.
fn typed(script: &str, directory: &Path) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_tallybook"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("bash");
    shell.args(["-euc", script]).current_dir(directory).env("PATH", path);
    shell.env("TALLYBOOK_DATA_DIR", directory).env("TALLYBOOK_CONFIG", "/dev/null").env_remove("DATABASE_URL");
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The text, at no day in particular.
fn of_any_day(text: &str) -> String {
    with_days(text, |_| Date::ZERO)
}

#[test]
fn the_first_example_prints_what_it_is_said_to_print() {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let mut steps = steps("A first example").into_iter();
    let first = steps.next().unwrap();
    assert_eq!(first.typed, "tallybook serve");
    let serving = Serving::start(&mut in_directory(directory.path(), "serve --listen 127.0.0.1:0"));
    let address = serving.address.to_string();
    let here =
        |text: &str| text.replace("127.0.0.1:8080", &address).replace("/var/lib/tallybook", directory.path().to_str().unwrap());
    assert_eq!(serving.announced.trim_end(), here(&first.shown.unwrap()));
    let mut compared = 0;
    for Step { typed: script, shown } in steps {
        if let Some(file) = script.strip_prefix("cat ") {
            fs::write(directory.path().join(file), shown.unwrap()).unwrap();
            continue;
        }
        // One shell after another: each has the token.
        let told = typed(&format!("TOKEN=$(tallybook token admin)\n{}", here(&script)), directory.path());
        if let Some(shown) = shown {
            assert_eq!(of_any_day(told.trim_end()), of_any_day(&shown), "{script}");
            compared += 1;
        }
    }
    assert_eq!(compared, 6);
    assert!(serving.stop(Signal::SIGTERM).0.success());
}
