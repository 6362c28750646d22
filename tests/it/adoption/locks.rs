//! Whoever adopts gives way: it waits for others, and nobody waits behind it.
use super::{LOOSE, PARTITIONED, PLATFORM, assert_exact, assert_healthy, host};
use sqlx::{Connection, Executor, PgConnection};
use std::time::Duration;
use tallybook::adopt::{self, Error, Patience};
use tallybook::testing::TestDatabase;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const BRIEF: Patience = Patience { lock_timeout: Duration::from_millis(50), lock_wait: Duration::from_mins(1) };

/// Waits for a step that says so.
async fn until(steps: &mut mpsc::UnboundedReceiver<String>, words: &str) -> String {
    loop {
        let step = steps.recv().await.unwrap_or_else(|| panic!("it ended before: {words}"));
        if step.contains(words) {
            return step;
        }
    }
}

async fn wait_for(on: &mut PgConnection, holds: &'static str) {
    while !sqlx::query_scalar::<_, bool>(holds).fetch_one(&mut *on).await.unwrap() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A writer of the host's with a transaction that does not end.
async fn open_writer(db: &TestDatabase) -> PgConnection {
    let mut writer = db.connect().await;
    writer
        .execute("set application_name = 'dispatcher'; begin; update public.task_usage set input_tokens = 1 where false")
        .await
        .unwrap();
    writer
}

#[tokio::test]
async fn m01_an_open_transaction_delays_us_and_no_other_writer() {
    let db = host(PLATFORM).await;
    // Built beforehand: what builds an index waits for the writer, too.
    db.pool.execute("create index on public.agent_task_queue (agent_id); create index on public.agent_task_queue (runtime_id); create index on public.task_usage (created_at)").await.unwrap();
    let mut open = open_writer(&db).await;
    let (tell, mut steps) = mpsc::unbounded_channel();
    let pool = db.pool.clone();
    let mut installing = JoinSet::new();
    installing.spawn(async move { adopt::install(&pool, None, BRIEF, move |step| drop(tell.send(step))).await });
    let told = until(&mut steps, "waiting for").await;
    assert!(told.starts_with("waiting for public.task_usage: held by backend ") && told.ends_with("(dispatcher)"), "{told}");
    // It goes on trying, and the host goes on writing.
    let mut other = db.connect().await;
    for _ in 0..50 {
        other.execute("select host.write(1)").await.unwrap();
    }
    assert!(installing.try_join_next().is_none(), "it cannot be done while that transaction is open");
    open.execute("commit").await.unwrap();
    installing.join_next().await.unwrap().unwrap().unwrap();
    assert_exact(&db).await;

    // So it is on the way back.
    let mut open = open_writer(&db).await;
    let (tell, mut steps) = mpsc::unbounded_channel();
    let pool = db.pool.clone();
    let mut leaving = JoinSet::new();
    leaving.spawn(async move { adopt::remove(&pool, 0, BRIEF, move |step| drop(tell.send(step))).await });
    until(&mut steps, "waiting for public.task_usage").await;
    for _ in 0..50 {
        other.execute("select host.write(2)").await.unwrap();
    }
    assert!(leaving.try_join_next().is_none());
    open.execute("commit").await.unwrap();
    leaving.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_cannot_be_locked_in_time_is_said_and_can_be_gone_on_with() {
    let db = host(LOOSE).await;
    db.pool.execute("create index on public.task_usage (task_id); create index tallybook_task_usage_time on public.task_usage (timezone('UTC', created_at));
        create index on public.agent_task_queue (agent_id); create index on public.agent_task_queue (issue_id); create index on public.agent_task_queue (runtime_id)").await.unwrap();
    let mut open = open_writer(&db).await;
    let hasty = Patience { lock_wait: Duration::from_millis(1), ..BRIEF };
    let refused = adopt::install(&db.pool, None, hasty, drop).await.unwrap_err();
    assert!(
        matches!(&refused, Error::Locked { table, holder, .. } if table == "public.task_usage" && holder.contains("dispatcher")),
        "{refused}"
    );
    // Nothing covers a day before all is captured, and what is shown is exact.
    let refused = tallybook::rollup::backfill::run(&db.pool, 100, |_| {}).await.unwrap_err().to_string();
    assert!(refused.contains("capture is not intact"), "{refused}");
    assert_eq!(super::differing(&db.pool).await.unwrap(), 0);
    let begun = adopt::check(&db.pool).await.unwrap();
    assert_eq!((begun.standing, begun.can_be_adopted), (adopt::Standing::Begun, true));
    open.execute("rollback").await.unwrap();
    adopt::install(&db.pool, None, BRIEF, drop).await.unwrap();
    assert_exact(&db).await;
    assert_healthy(&db).await;
}

#[tokio::test]
async fn only_one_adopts_at_a_time() {
    let db = host(LOOSE).await;
    let mut open = open_writer(&db).await;
    let (tell, mut steps) = mpsc::unbounded_channel();
    let pool = db.pool.clone();
    let mut first = JoinSet::new();
    first.spawn(async move { adopt::install(&pool, None, BRIEF, move |step| drop(tell.send(step))).await });
    until(&mut steps, "applied 0001").await;
    assert!(matches!(adopt::install(&db.pool, None, BRIEF, drop).await, Err(Error::Busy)));
    assert!(matches!(adopt::remove(&db.pool, 0, BRIEF, drop).await, Err(Error::Busy)));
    open.execute("rollback").await.unwrap();
    first.join_next().await.unwrap().unwrap().unwrap();
}

/// Leaves invalid indexes behind, as a build does that is cancelled, and finds that the next run mends them.
async fn survives_an_interrupted_build(schema: &'static str, building: &'static str) {
    let db = host(schema).await;
    // A transaction that does not concern us, and whose end every build waits for.
    let mut reader = db.connect().await;
    reader.execute("begin isolation level repeatable read; select count(*) from public.workspace").await.unwrap();
    let pool = db.pool.clone();
    let mut installing = JoinSet::new();
    installing.spawn(async move { adopt::install(&pool, None, BRIEF, drop).await });
    let mut other = db.connect().await;
    wait_for(&mut other, building).await;
    // Writers go on beside it.
    for _ in 0..20 {
        other.execute("select host.write(3)").await.unwrap();
    }
    let cancel = "select bool_or(pg_cancel_backend(pid)) from pg_stat_activity where datname = current_database() and query ilike 'create index concurrently%'";
    assert!(sqlx::query_scalar::<_, bool>(cancel).fetch_one(&mut other).await.unwrap());
    assert!(matches!(installing.join_next().await.unwrap().unwrap(), Err(Error::Database(_))));
    let invalid = "select count(*) from pg_index where not indisvalid and indexrelid::regclass::text like '%tallybook%'";
    assert!(sqlx::query_scalar::<_, i64>(invalid).fetch_one(&mut other).await.unwrap() > 0);
    reader.execute("commit").await.unwrap();
    let mut steps = Vec::new();
    adopt::install(&db.pool, None, BRIEF, |step| steps.push(step)).await.unwrap();
    assert!(steps.iter().any(|step| step.contains("whose build was interrupted")), "{steps:#?}");
    assert_eq!(sqlx::query_scalar::<_, i64>(invalid).fetch_one(&mut other).await.unwrap(), 0);
    other.close().await.unwrap();
    assert_exact(&db).await;
    assert_healthy(&db).await;
}

const BUILDING: &str =
    "select exists (select from pg_stat_activity where datname = current_database() and query ilike 'create index concurrently%'
    and wait_event_type = 'Lock')";

#[tokio::test]
async fn m02_an_interrupted_build_of_an_index_is_built_anew() {
    survives_an_interrupted_build(PLATFORM, BUILDING).await;
}

#[tokio::test]
async fn m02_so_is_that_of_a_partition() {
    survives_an_interrupted_build(PARTITIONED, BUILDING).await;
}
