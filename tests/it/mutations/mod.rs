//! Tests of the tests: the engine with one defect put into its SQL, which the named tests must find.
//!
//! Each mutation edits the text of the migrations, and the tests named with it run, in a process of their own, on databases
//! made of that. One that they pass survives: the proof has a hole there.
mod list;

use list::mutations;
use proptest::test_runner::{FailurePersistence, FileFailurePersistence};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Instant;
use tallybook::db::migrate;
use tallybook::testing::{self, results};
use tokio::process::Command;
use tokio::task::JoinSet;

/// Tells the tests of a mutant which one it is.
const MUTANT_VARIABLE: &str = "TALLYBOOK_TEST_MUTANT";
/// Mutations under test at once.
const AT_ONCE: usize = 3;

/// A defect, as edits of the migrations.
pub(crate) struct Mutation {
    /// What is wrong now.
    pub(crate) defect: &'static str,
    /// What the migrations say, once each, and what they say instead.
    pub(crate) edits: &'static [(&'static str, &'static str)],
    /// Tests of which one has to fail, as filters of their names, tried in this order.
    pub(crate) found_by: &'static [&'static str],
}

/// What became of one.
#[derive(Debug)]
enum Fate {
    Killed,
    Survived,
}

/// All of them; `TALLYBOOK_MUTATION` names some by a part of their defect.
#[tokio::test]
async fn every_defect_put_into_the_engine_is_found() {
    let wanted = std::env::var("TALLYBOOK_MUTATION").unwrap_or_default();
    let mut waiting = mutations().enumerate().filter(|(_, mutation)| mutation.defect.contains(&wanted));
    let mut running = JoinSet::new();
    let mut survivors = Vec::new();
    let mut killed = 0_u64;
    loop {
        while running.len() < AT_ONCE
            && let Some((number, mutation)) = waiting.next()
        {
            running.spawn(async move {
                let began = Instant::now();
                let fate = try_it(number, mutation).await;
                println!("{fate:?} in {:.0?}: {}", began.elapsed(), mutation.defect);
                (mutation, fate)
            });
        }
        match running.join_next().await.transpose().unwrap() {
            Some((_, Fate::Killed)) => killed += 1,
            Some((mutation, Fate::Survived)) => survivors.push(mutation.defect),
            None => break,
        }
    }
    println!("mutations of the engine: {killed} killed of {}", killed + u64::try_from(survivors.len()).unwrap());
    assert!(survivors.is_empty(), "no test found: {survivors:#?}");
    if wanted.is_empty() {
        results::MUTATIONS.record(None, &[("put in", killed), ("found", killed), ("not found", 0)]);
    }
}

async fn try_it(number: usize, mutation: &Mutation) -> Fate {
    let template = format!("mutant_{number}_{}", std::process::id());
    testing::make_template(&template, &mutated(mutation)).await;
    let mut fate = Fate::Survived;
    for test in mutation.found_by {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([test, "--test-threads=1"]).kill_on_drop(true);
        child.env(testing::TEMPLATE_VARIABLE, &template).env(MUTANT_VARIABLE, number.to_string());
        child.env_remove(results::FILE_VARIABLE);
        let ended = child.stdin(Stdio::null()).output().await.unwrap();
        let told = String::from_utf8_lossy(&ended.stdout);
        assert!(!told.contains("running 0 tests"), "{}: no test is named so: {test}", mutation.defect);
        if !ended.status.success() {
            // A test has said no; nothing else has gone wrong.
            assert!(told.contains("test result: FAILED"), "{}: {test} broke off: {told}", mutation.defect);
            fate = Fate::Killed;
            break;
        }
    }
    drop_template(&template).await;
    fate
}

/// The migrations that are under test, for a database that cannot be cloned from the template.
pub(crate) fn migrations() -> BTreeMap<i64, String> {
    let mutant = std::env::var(MUTANT_VARIABLE).ok();
    mutant.map_or_else(|| migrate::texts().collect(), |number| mutated(mutations().nth(number.parse().unwrap()).unwrap()))
}

/// Where a property keeps the seeds that failed; nowhere while it fails for a defect that was put in.
pub(crate) fn seeds(file: &'static str) -> Option<Box<dyn FailurePersistence>> {
    let is_mutant = std::env::var_os(MUTANT_VARIABLE).is_some();
    (!is_mutant).then(|| -> Box<dyn FailurePersistence> { Box::new(FileFailurePersistence::Direct(file)) })
}

/// The migrations with the defect, by their version.
fn mutated(mutation: &Mutation) -> BTreeMap<i64, String> {
    let mut texts: BTreeMap<i64, String> = migrate::texts().collect();
    for (text, instead) in mutation.edits {
        let places: usize = texts.values().map(|sql| sql.matches(text).count()).sum();
        assert_eq!(places, 1, "{}: the migrations say {places} times: {text}", mutation.defect);
        for sql in texts.values_mut() {
            *sql = sql.replace(text, instead);
        }
    }
    texts
}

async fn drop_template(name: &str) {
    let mut server = PgConnection::connect_with(&testing::server_options()).await.unwrap();
    server.execute(AssertSqlSafe(format!("alter database {name} is_template false"))).await.unwrap();
    server.execute(AssertSqlSafe(format!("drop database {name} with (force)"))).await.unwrap();
}
