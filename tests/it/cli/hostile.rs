//! Arguments that nobody means well with: each is refused in words or works, and none makes the program fall over.
use super::{help, on, tallybook};
use crate::property::{self, cases};
use proptest::prelude::*;
use std::cell::Cell;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::process::{Command, Output};
use tallybook::testing::{
    self,
    results::{self, FUZZ},
};

/// Command lines that are tried, unless `TALLYBOOK_FUZZ_CASES` says otherwise.
const CASES: u32 = 96;
/// What a program that fell over exits with.
const PANICKED: i32 = 101;

/// Commands that go on until somebody stops them.
const ENDLESS: [&str; 2] = ["serve", "demo"];
/// What is given to any command.
const WORDS: [&str; 14] = [
    "--help",
    "--version",
    "--json",
    "--model==",
    "--",
    "-",
    "=",
    "-1",
    "0",
    "18446744073709551616",
    "9999-12-31T23:59:59Z",
    "../no/such/file",
    "'; drop table task_usage; --",
    "\u{202e}x",
];

/// The words of a command, and then options that its help names, or anything else, in any order.
fn command_line() -> impl Strategy<Value = Vec<OsString>> {
    let pages = help::pages("").into_iter().filter(|page| !ENDLESS.contains(&page.command.as_str()));
    let commands: Vec<(Vec<String>, Vec<String>)> = pages
        .map(|page| {
            let own = if page.command.is_empty() { String::new() } else { page.own() };
            let words = own.split(|c: char| !(c.is_ascii_lowercase() || c == '-'));
            let options = words.filter(|word| word.len() > 2 && word.starts_with("--")).map(str::to_owned).collect();
            (page.command.split_whitespace().map(str::to_owned).collect(), options)
        })
        .collect();
    assert!(commands.len() > 30);
    prop::sample::select(commands).prop_flat_map(|(command, options)| {
        let known = options.into_iter().chain(WORDS.map(str::to_owned)).collect::<Vec<_>>();
        let bytes = prop::collection::vec(1_u8.., 0..20).prop_map(OsString::from_vec);
        let argument = prop_oneof![6 => prop::sample::select(known).prop_map(OsString::from), 1 => bytes];
        let command: Vec<OsString> = command.into_iter().map(OsString::from).collect();
        prop::collection::vec(argument, 0..8).prop_map(move |arguments| [command.clone(), arguments].concat())
    })
}

fn assert_orderly(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0..=2)), "{command:?} ended with {}: {told}", output.status);
    assert!(!told.contains("panicked") && output.status.code() != Some(PANICKED), "{command:?}: {told}");
    output
}

#[test]
fn any_arguments_are_obeyed_or_refused_in_words() {
    let seed = results::seed();
    let inputs = Cell::new(0);
    let directory = tempfile::tempdir().unwrap();
    property::for_all(seed, cases("TALLYBOOK_FUZZ_CASES", CASES), None, &command_line(), |arguments| {
        inputs.set(inputs.get() + 1);
        let mut command = tallybook("");
        // Nothing listens there, and a private instance is not asked for.
        command.args(arguments).env("DATABASE_URL", "postgres://app@127.0.0.1:1/usage").current_dir(directory.path());
        let output = assert_orderly(&mut command);
        assert!(output.status.success() || !output.stderr.is_empty(), "it says why");
    });
    FUZZ.record(Some(seed), &[("properties", 1), ("inputs", inputs.get()), ("failures", 0)]);
}

#[tokio::test]
async fn mean_names_are_only_names_to_every_command() {
    let database = testing::database().await;
    sqlx::raw_sql(include_str!("../../../src/testing/one_task.sql")).execute(&database.pool).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("$(reboot); `id` ' \" %s.csv");
    std::fs::write(&file, "at,in,out\n2023-11-16,1,2\n").unwrap();
    for name in
        ["'; drop table public.task_usage; --", "x' or '1'='1", "$1", "%n%s", "\u{202e}x\u{200f}", "\u{1f3f3}", "--help", ""]
    {
        for arguments in [
            &["usage", "--days", "3660", "--workspace"][..],
            &["usage", "--days", "3660", "--workspace", "one", "--runtime"],
            &["token", "create", "--scope", "read", "--name"],
            &["token", "create", "--scope", "read", "--name", "x", "--workspace"],
            &["token", "revoke"],
        ] {
            assert_orderly(on(&database, "").args(arguments).arg(name));
        }
        let import = ["--time", "at", "--input", "in", "--output", "out", "--source", name, "--workspace", name, "--agent", name];
        assert_orderly(on(&database, "import csv").arg(&file).args(import));
        assert_orderly(on(&database, "import csv").arg(&file).args(["--time", name, "--input", "in", "--output", name]));
    }
    let verified = assert_orderly(&mut on(&database, "verify"));
    assert!(verified.status.success());
    let rows: i64 = sqlx::query_scalar("select count(*) from public.task_usage").fetch_one(&database.pool).await.unwrap();
    assert_eq!(rows, 7, "the task's, and one of each name that is one");
}
