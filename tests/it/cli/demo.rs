//! `tallybook demo`: it ends by itself with the proof, or when it is told to.
use super::{on, transcript_on};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sqlx::Executor;
use std::io::{self, BufRead, BufReader};
use std::process::Stdio;
use tallybook::testing;

const RUN: &str = "demo --listen 127.0.0.1:0 --reports-per-second 1000";

#[tokio::test]
async fn it_ends_by_itself_with_a_table_and_the_proof() {
    let database = testing::empty_database().await;
    let told = transcript_on(&database, &format!("{RUN} --run-for 2s"));
    for part in ["  Look around   http://127.0.0.1:", "/docs\n", "curl -H \"Authorization: Bearer $TOKEN\"", "\ntotal  "] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(told.contains("\nExact.\n") && told.ends_with("--- exit 0\n"), "{told}");
    assert!(!told.contains("tally_"), "no token is shown: {told}");
}

#[tokio::test]
async fn a_signal_stops_it_in_order() {
    for (signal, run_for, code) in [(Signal::SIGINT, "", 0), (Signal::SIGTERM, " --run-for 1h", 130)] {
        let database = testing::empty_database().await;
        let mut child = on(&database, &format!("{RUN}{run_for}")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.starts_with("  Stop")), "it did not start");
        kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
        assert_eq!(lines.last().unwrap(), "Stopped. The data stay: the next start goes on with them.");
        let log = io::read_to_string(child.stderr.take().unwrap()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{log}");
        assert_eq!(log, "");
    }
}

#[tokio::test]
async fn other_data_are_refused() {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    insta::assert_snapshot!(transcript_on(&database, RUN));
}
