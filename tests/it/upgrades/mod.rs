//! Every migration, from each version on, while the release before it still serves: its writes, ticks and reads go on as the newer one
//! migrates, and see neither an error nor a wrong sum.
mod release;

use release::{Release, Tally};
use sqlx::Executor;
use tallybook::db::migrate::{self, State};
use tallybook::doctor;
use tallybook::rollup::{backfill, fold, verify};
use tallybook::testing;

const WORLD: &str = include_str!("world.sql");

/// The numbers of all migrations, in order.
fn versions() -> Vec<i64> {
    migrate::texts().map(|(version, _)| version).collect()
}

/// Upgrades from version `from` to the newest one under a running release of that version.
async fn upgrade_under_load(from: i64) -> Tally {
    let db = testing::empty_database().await;
    migrate::up_to(&db.pool, from).await.unwrap();
    db.pool.execute(WORLD).await.unwrap();
    let release = Release::start(&db).await;
    release.wait_for_work().await;
    for (version, _) in migrate::texts().filter(|(version, _)| *version > from) {
        migrate::up_to(&db.pool, version).await.unwrap();
        release.wait_for_work().await;
    }
    let tally = release.stop().await;

    assert!(migrate::status(&db.pool).await.unwrap().iter().all(|m| m.state == State::Applied));
    let report = verify::verify(&db.pool).await.unwrap();
    assert!(report.exact(), "from version {from}: {report:?}");
    backfill::run(&db.pool, 100, |_| {}).await.unwrap();
    fold::drain(&db.pool).await.unwrap();
    db.pool.execute("update public.task_usage set output_tokens = output_tokens + 1").await.unwrap();
    let report = verify::verify(&db.pool).await.unwrap();
    assert!(report.exact(), "from version {from}, folded: {report:?}");
    let examined = doctor::examine(&db.pool).await.unwrap();
    assert!(examined.healthy(), "from version {from}: {examined:?}");
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_is_upgraded_while_the_release_of_that_version_serves() {
    let versions = versions();
    let (newest, older) = versions.split_last().unwrap();
    assert!(older.len() > 6, "there are migrations");
    for from in older {
        let tally = upgrade_under_load(*from).await;
        assert!(tally.writes > 0, "from version {from} to {newest}: {tally:?}");
        // The rollups, and what folds them, came with version 6.
        assert_eq!((tally.ticks > 0, tally.reads > 0), (*from >= 6, *from >= 6), "from version {from}: {tally:?}");
    }
}
