//! The real binary, run as its users run it: what it prints, where, and how it exits.
mod audit;
mod backfill;
mod bench;
mod config;
mod demo;
pub(crate) mod help;
mod hostile;
mod import;
mod logs;
mod memory;
mod migrate;
mod private;
mod retain;
mod rollups;
mod secrets;
pub(crate) mod serve;
mod status;
mod token;
#[cfg(feature = "otel")]
mod traces;
mod usage;

use sqlx::ConnectOptions;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use tallybook::testing::TestDatabase;

/// The command line of a user who has set nothing but where the data is.
pub(crate) fn tallybook(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallybook"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| {
        let name = name.to_string_lossy();
        ["TALLYBOOK_", "DATABASE_", "PG", "RUST_", "OTEL_"].iter().any(|prefix| name.starts_with(prefix))
    }) {
        command.env_remove(name);
    }
    command.args(arguments.split_whitespace()).stdin(Stdio::null()).env("COLUMNS", "100");
    // No file of the machine's, or of whoever runs the tests.
    command.env("TALLYBOOK_CONFIG", "/dev/null");
    command
}

/// The command line on a test's database.
pub(crate) fn on(database: &TestDatabase, arguments: &str) -> Command {
    let mut command = tallybook(arguments);
    command.env("DATABASE_URL", database.options().to_url_lossy().as_str());
    command
}

/// The command line on a private instance.
pub(crate) fn in_directory(directory: &Path, arguments: &str) -> Command {
    let mut command = tallybook(arguments);
    command.env("TALLYBOOK_DATA_DIR", directory);
    command
}

/// What a command printed and how it exited, as one text to compare.
pub(crate) fn transcript(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    let code = status.code().map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    let told = if stderr.is_empty() { String::new() } else { format!("--- standard error\n{stderr}") };
    format!("{stdout}{told}--- exit {code}\n")
}

/// The same, with the name of the test's database left out.
pub(crate) fn transcript_on(database: &TestDatabase, arguments: &str) -> String {
    let options = database.options();
    let name = options.get_database().unwrap();
    let port = format!("{}:{}", options.get_host(), options.get_port());
    transcript(&mut on(database, arguments)).replace(name, "DATABASE").replace(&port, "HOST:PORT")
}
