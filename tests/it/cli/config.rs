//! `tallybook config`: one definition for options, variables and the file.
use super::{on, tallybook, transcript};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use tallybook::testing;
use tempfile::TempDir;

/// A configuration file.
fn file(directory: &TempDir, text: &str) -> PathBuf {
    let path = directory.path().join("tallybook.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn with_file(arguments: &str, path: &Path) -> Command {
    let mut command = tallybook(arguments);
    command.env("TALLYBOOK_CONFIG", path);
    command
}

/// What `tallybook config --json` says of each setting.
fn settings(command: &mut Command) -> BTreeMap<String, Value> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let settings = document["settings"].as_array().unwrap().iter();
    settings.map(|setting| (setting["key"].as_str().unwrap().to_owned(), setting.clone())).collect()
}

/// A value that each setting takes, as an option and as a file has it, and another one.
fn samples(key: &str, known: &Value, directory: &Path) -> [(String, String); 2] {
    let quoted = |text: &str| (text.to_owned(), format!("{text:?}"));
    let path = |name: &str| quoted(directory.join(name).to_str().unwrap());
    match key {
        "log-level" => ["debug", "trace"].map(quoted),
        "log-format" => ["json", "text"].map(quoted),
        "listen" => ["127.0.0.1:1234", "127.0.0.1:4321"].map(quoted),
        "run-for" => ["20s", "2m"].map(quoted),
        _ if known["secret"] == true => ["postgres://app:hunter2@db/one", "postgres://app:hunter2@db/two"].map(quoted),
        "data-dir" | "tls-cert" | "tls-key" => [path("one"), path("two")],
        "database-url-file" | "database-password-file" => {
            // Both are looked at, and lead nowhere.
            std::fs::write(directory.join("secret"), "postgres://app:hunter2@db/one\n").unwrap();
            std::fs::write(directory.join("other"), "postgres://app:hunter2@db/two\n").unwrap();
            [path("secret"), path("other")]
        }
        _ if known["value"] == "true" || known["value"] == "false" => {
            [("true".to_owned(), "true".to_owned()), ("false".to_owned(), "false".to_owned())]
        }
        _ => [("7".to_owned(), "7".to_owned()), ("8".to_owned(), "8".to_owned())],
    }
}

#[test]
fn every_setting_can_be_given_in_every_place_and_the_nearest_counts() {
    let directory = tempfile::tempdir().unwrap();
    let all = settings(&mut tallybook("config --json"));
    assert!(all.len() > 8);
    for (key, known) in &all {
        let [(one, in_file), (other, _)] = samples(key, known, directory.path());
        let mut path = file(&directory, &format!("# a comment\n{key} = {in_file}\n"));
        if key == "database-password-file" {
            path = file(&directory, &format!("# a comment\n{key} = {in_file}\ndatabase-url = 'postgres://app@db/one'\n"));
        }
        let is_secret = known["secret"].as_bool().unwrap();
        let said = |command: &mut Command| {
            let setting = settings(command)[key].clone();
            assert_eq!(setting["value"].is_null(), is_secret, "{setting}");
            (setting["value"].as_str().unwrap_or_default().to_owned(), setting["source"].as_str().unwrap().to_owned())
        };
        let (one, other) = if is_secret { (String::new(), String::new()) } else { (one, other) };
        let given = samples(key, known, directory.path())[1].0.clone();
        assert_eq!(said(&mut with_file("config --json", &path)), (one, "file".to_owned()), "{key}");
        assert_eq!(settings(&mut with_file("config --json", &path))[key]["line"], 2);
        let variable = known["variable"].as_str().unwrap();
        let by_variable = said(with_file("config --json", &path).env(variable, &given));
        assert_eq!(by_variable, (other.clone(), "environment".to_owned()), "{key}");
        let by_option = said(with_file("config --json", &path).env(variable, "").arg(format!("--{key}={given}")));
        assert_eq!(by_option, (other, "option".to_owned()), "{key}");
    }
}

#[test]
fn what_holds_is_told_with_its_place_and_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "database-url = 'postgres://app:hunter2@db.example/usage'\nconnections = 20\n");
    let told = |how: &str| {
        let mut command = with_file(&format!("config --listen 127.0.0.1:9000 --data-dir /d {how}"), &path);
        command.env("TALLYBOOK_LOG", "debug").env("TALLYBOOK_LOG_FORMAT", "");
        transcript(&mut command).replace(path.to_str().unwrap(), "FILE")
    };
    insta::assert_snapshot!("config_in_words", told(""));
    insta::assert_snapshot!("config_as_a_file", told("--toml"));
    assert!(!told("--json").contains("hunter2"));
    let again = file(&directory, told("--toml").split("---").next().unwrap());
    let settings = settings(&mut with_file("config --json", &again));
    assert_eq!(settings["listen"]["value"], "127.0.0.1:9000", "what it prints is a file");
}

#[test]
fn the_example_explains_and_sets_nothing() {
    let example = transcript(&mut tallybook("config --example"));
    let example = example.strip_suffix("--- exit 0\n").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, example);
    let (with, without) = (settings(&mut with_file("config --json", &path)), settings(&mut tallybook("config --json")));
    assert_eq!(with, without);
    insta::assert_snapshot!("config_example", example);
}

#[test]
fn a_mistake_in_the_file_ends_every_command() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(&directory, "listen = '127.0.0.1:1'\nlistten = 'x'\n");
    for command in ["serve", "status", "config", "token admin"] {
        let told = transcript(&mut with_file(command, &path)).replace(path.to_str().unwrap(), "FILE");
        assert_eq!(
            told,
            "--- standard error\ntallybook: FILE, line 2: there is no setting \"listten\"; did you mean \"listen\"? `tallybook config --example` lists all\n--- exit 2\n"
        );
    }
    let missing = transcript(&mut tallybook("status --config /nowhere/tallybook.toml"));
    assert!(missing.contains("/nowhere/tallybook.toml cannot be read: No such file"), "{missing}");
}

#[test]
fn a_file_in_a_fixed_place_is_found() {
    let home = tempfile::tempdir().unwrap();
    std::fs::create_dir(home.path().join("tallybook")).unwrap();
    std::fs::write(home.path().join("tallybook/tallybook.toml"), "connections = 9\n").unwrap();
    let mut command = tallybook("config --json");
    let found = settings(command.env_remove("TALLYBOOK_CONFIG").env("XDG_CONFIG_HOME", home.path()));
    assert_eq!((&found["connections"]["value"], &found["connections"]["source"]), (&"9".into(), &"file".into()));
}

#[tokio::test]
async fn a_password_may_lie_in_a_file_and_is_told_nowhere() {
    let database = testing::database().await;
    let mut url = sqlx::ConnectOptions::to_url_lossy(&database.options());
    let password = url.password().unwrap().to_owned();
    url.set_password(None).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let secret = |text: &str| {
        let path = directory.path().join("secret");
        std::fs::write(&path, text).unwrap();
        path
    };
    let with = |secret: PathBuf| {
        let mut command = on(&database, "migrate status --log-level trace");
        command.env("DATABASE_URL", url.as_str()).env("DATABASE_PASSWORD_FILE", secret);
        transcript(&mut command)
    };
    let told = with(secret(&format!("{password}\n")));
    assert!(told.ends_with("--- exit 0\n") && !told.contains(&password), "{told}");
    let refused = with(secret("hunter2"));
    assert!(refused.contains("refuses the connection: password authentication failed"), "{refused}");
    assert!(refused.ends_with("--- exit 2\n") && !refused.contains("hunter2"), "{refused}");
    let missing = with(directory.path().join("none"));
    assert!(missing.contains("(--database-password-file) cannot be read: No such file"), "{missing}");

    let mut whole = on(&database, "migrate status");
    url.set_password(Some(&password)).unwrap();
    whole.env_remove("DATABASE_URL").env("DATABASE_URL_FILE", secret(&format!("{url}\n")));
    assert!(transcript(&mut whole).ends_with("--- exit 0\n"));
    let both = transcript(whole.env("DATABASE_URL", "postgres://app@db/usage"));
    assert!(both.contains("database-url and database-url-file are both given"), "{both}");
}
