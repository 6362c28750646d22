//! A database that an older release adopted is upgraded, from each version on, while its host writes and what is shown is compared.
use super::{PLATFORM, Work, assert_exact, assert_healthy, host, run};
use tallybook::adopt::{self, Patience, Standing};
use tallybook::db::migrate;
use tallybook::rollup::{backfill, fold};

/// The version with which capture came, and with it adoption.
const ADOPTS: i64 = 3;
/// The version with which the rollups came.
const FOLDS: i64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_database_is_upgraded_from_every_version_while_its_host_writes() {
    let versions: Vec<i64> = migrate::texts().map(|(version, _)| version).collect();
    let (newest, older) = versions.split_last().unwrap();
    for from in older.iter().filter(|version| **version >= ADOPTS) {
        let db = host(PLATFORM).await;
        migrate::up_adopting_to(&db.pool, *from).await.unwrap();
        run(&db, "select tallybook.install_capture(source) from unnest(array['task_usage', 'agent_task_queue', 'agent', 'issue']) source").await;
        let mut work = Work::begin(&db).await;
        for version in *from..=*newest {
            migrate::up_adopting_to(&db.pool, version).await.unwrap();
            if version >= FOLDS {
                run(&db, "select tallybook.rollup_task_usage_daily()").await;
            }
            work.go_on().await;
        }
        let adopted = adopt::install(&db.pool, None, Patience::default(), drop).await.unwrap();
        assert_eq!(adopted.standing, Standing::Adopted, "from version {from}");
        backfill::run(&db.pool, 100, |_| {}).await.unwrap();
        work.go_on().await;
        work.end().await;
        fold::drain(&db.pool).await.unwrap();
        assert_exact(&db).await;
        assert_healthy(&db).await;
    }
}
