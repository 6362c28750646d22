//! Arguments that nobody means well with: each is refused in words or works, and none makes the program fall over.
use super::{on, tallybook};
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

const WORDS: [&str; 44] = [
    "serve",
    "usage",
    "status",
    "verify",
    "repair",
    "fold",
    "backfill",
    "import",
    "csv",
    "migrate",
    "up",
    "down",
    "token",
    "create",
    "list",
    "revoke",
    "admin",
    "completions",
    "bash",
    "help",
    "--help",
    "--version",
    "--json",
    "--days",
    "--by",
    "--workspace",
    "--name",
    "--scope",
    "--expires",
    "--log-level",
    "--log-format",
    "--listen",
    "--zone",
    "--delimiter",
    "--time",
    "--input",
    "--output",
    "--",
    "-",
    "=",
    "-1",
    "0",
    "18446744073709551616",
    "--model==",
];

fn argument() -> impl Strategy<Value = OsString> {
    let bytes = prop::collection::vec(1_u8.., 0..20).prop_map(OsString::from_vec);
    let text = prop_oneof![
        Just("'; drop table task_usage; --"),
        Just("\u{202e}x"),
        Just("9999-12-31T23:59:59Z"),
        Just("../../etc/passwd")
    ];
    prop_oneof![6 => prop::sample::select(WORDS.to_vec()).prop_map(OsString::from), 1 => bytes, 1 => text.prop_map(OsString::from)]
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
    property::for_all(seed, cases("TALLYBOOK_FUZZ_CASES", CASES), None, &prop::collection::vec(argument(), 0..8), |arguments| {
        inputs.set(inputs.get() + 1);
        let mut command = tallybook("");
        // Nothing listens there, and a private instance is not asked for: `serve` waits, so it is left out.
        command
            .args(arguments.iter().filter(|argument| *argument != "serve"))
            .env("DATABASE_URL", "postgres://app@127.0.0.1:1/usage");
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
