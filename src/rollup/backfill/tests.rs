use super::*;
use crate::rollup::{fold, status, verify};
use crate::testing::{self, TestDatabase};
use futures_util::future::join_all;
use jiff::civil::date;
use sqlx::Executor;
use std::sync::atomic::{AtomicBool, Ordering};

/// Six days with usage, of which nothing is covered: 1 row in January, 3 on each of the first five days of February.
async fn history() -> TestDatabase {
    let db = testing::database().await;
    db.pool.execute(include_str!("../../testing/one_task.sql")).await.unwrap();
    db.pool.execute(include_str!("../../testing/five_days.sql")).await.unwrap();
    db.pool.execute(include_str!("../../testing/redeclare.sql")).await.unwrap();
    fold::drain(&db.pool).await.unwrap();
    db
}

async fn coverage(db: &TestDatabase) -> Vec<(String, String)> {
    sqlx::query_as("select name, (covered_from at time zone 'UTC')::date::text from tallybook.rollup order by name")
        .fetch_all(&db.pool)
        .await
        .unwrap()
}

fn since(day: i8) -> Options {
    Options { since: Some(date(2026, 2, day)), ..Options::default() }
}

fn of_rows(slice_rows: i64) -> Options {
    Options { slice_rows, ..Options::default() }
}

/// Whether each rollup holds all history, as status says it.
async fn covered(db: &TestDatabase) -> Vec<bool> {
    status::status(&db.pool).await.unwrap().rollups.iter().map(status::Rollup::is_covered).collect()
}

#[tokio::test]
async fn it_stops_at_a_day_and_goes_on_from_there() {
    let db = history().await;
    assert_eq!(covered(&db).await, [false, false]);
    let done = cover(&db.pool, &since(4), |_| {}).await.unwrap();
    assert_eq!((done.slices, done.raw_rows), (1, 6));
    let at = |day: &str| ["task_usage_daily", "task_usage_quarter_hour"].map(|name| (name.to_owned(), day.to_owned()));
    assert_eq!(coverage(&db).await, at("2026-02-04"));
    assert!(verify::verify(&db.pool).await.unwrap().exact());
    assert_eq!(cover(&db.pool, &since(5), |_| {}).await.unwrap(), Summary::default(), "what is covered stays covered");
    let done = cover(&db.pool, &Options { slice_rows: 1, ..since(2) }, |_| {}).await.unwrap();
    assert_eq!((done.slices, done.raw_rows), (2, 6));
    assert_eq!(coverage(&db).await, at("2026-02-02"));
    assert_eq!(covered(&db).await, [false, false]);
    let done = cover(&db.pool, &Options::default(), |_| {}).await.unwrap();
    assert_eq!((done.slices, done.raw_rows), (1, 4));
    assert_eq!(coverage(&db).await, at("-infinity"));
    assert_eq!(covered(&db).await, [true, true]);
    assert!(verify::verify(&db.pool).await.unwrap().exact());
}

#[tokio::test]
async fn what_is_written_meanwhile_is_folded_between_slices() {
    let db = history().await;
    db.pool.execute("update task_usage set input_tokens = input_tokens + 1").await.unwrap();
    cover(&db.pool, &of_rows(1), |_| {}).await.unwrap();
    let is_left = "select exists (select from tallybook.usage_change)";
    assert!(!sqlx::query_scalar::<_, bool>(is_left).fetch_one(&db.pool).await.unwrap());
    assert!(verify::verify(&db.pool).await.unwrap().exact());
}

#[tokio::test]
async fn a_plan_is_what_a_run_then_does() {
    let db = history().await;
    // One rollup is ahead of the other.
    cover(&db.pool, &since(5), |_| {}).await.unwrap();
    db.pool.execute("select tallybook.create_rollup('by_model', '1 day', array['provider', 'model'])").await.unwrap();
    for options in [of_rows(4), Options { slice_rows: 4, ..since(3) }, of_rows(1_000_000)] {
        let planned = plan(&db.pool, &options).await.unwrap();
        let behind = planned.rollups.iter().find(|r| r.name == "by_model").unwrap();
        let ahead = planned.rollups.iter().find(|r| r.name == "task_usage_daily").unwrap();
        assert_eq!((behind.days, behind.raw_rows), (ahead.days + 1, ahead.raw_rows + 3), "{planned:?}");
        assert_eq!(planned.raw_rows, behind.raw_rows);
        assert!(planned.pace.is_some() && planned.seconds_estimated.is_some());
    }
    let planned = plan(&db.pool, &of_rows(4)).await.unwrap();
    assert_eq!(planned.pace.unwrap().basis, Basis::LastSlices);
    let (mut covered, mut rows_written) = (Vec::new(), 0);
    let done = cover(&db.pool, &of_rows(4), |event| {
        if let Event::Covered(slice) = event {
            covered.push((slice.covered_from, slice.raw_rows));
            rows_written += slice.rows_written;
        }
    })
    .await
    .unwrap();
    assert_eq!(done.rows_written, rows_written);
    assert_eq!(planned.slices.iter().map(|slice| (slice.since, slice.raw_rows)).collect::<Vec<_>>(), covered);
    assert_eq!((planned.raw_rows, planned.slices.len()), (done.raw_rows, covered.len()));
    assert!(covered.len() > 2);
    let nothing = plan(&db.pool, &Options::default()).await.unwrap();
    assert_eq!((nothing.slices.len(), nothing.pace, nothing.seconds_estimated), (0, None, None));
}

#[tokio::test]
async fn a_plan_changes_nothing_and_knows_the_limits() {
    let db = history().await;
    let before = coverage(&db).await;
    let throttle = Throttle { rows_per_second_max: std::num::NonZeroU32::new(1), pause: Duration::ZERO };
    let planned = plan(&db.pool, &Options { throttle, ..Options::default() }).await.unwrap();
    assert_eq!(planned.pace.unwrap().basis, Basis::Sample);
    assert!(planned.seconds_estimated >= Some(16), "{planned:?}");
    assert!(planned.slices.len() >= 3, "slices of five rows: {planned:?}");
    assert_eq!(coverage(&db).await, before);
    assert!(progress(&db.pool).await.unwrap().iter().all(|p| p.last_slice_at.is_none()));
}

#[tokio::test]
async fn a_plan_trusts_no_pace_of_less_than_a_row_a_second() {
    let db = history().await;
    slice(&db.pool, 4).await.unwrap();
    for (busy, basis) in [("1 second", Basis::LastSlices), ("1 year", Basis::Sample)] {
        let sql = format!("update tallybook.backfill_state set recent_rows = 1, recent_busy = '{busy}'");
        db.pool.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
        assert_eq!(plan(&db.pool, &Options::default()).await.unwrap().pace.unwrap().basis, basis);
    }
    // Rows of tasks that are gone are read, and there is nothing to sum.
    db.pool.execute("set local session_replication_role = replica; delete from public.agent_task_queue").await.unwrap();
    let planned = plan(&db.pool, &Options::default()).await.unwrap();
    assert!(planned.raw_rows > 0 && planned.pace.is_none() && planned.seconds_estimated.is_none(), "{planned:?}");
}

#[tokio::test]
async fn progress_is_there_for_everybody_and_outlives_the_run() {
    let db = history().await;
    let left = || async { progress(&db.pool).await.unwrap().into_iter().map(|p| p.raw_rows_left).collect::<Vec<_>>() };
    assert_eq!(left().await, [16, 16]);
    let began = progress(&db.pool).await.unwrap();
    assert_eq!((began[0].covered, began[0].rows_per_second, began[0].seconds_left), (false, None, None));
    slice(&db.pool, 4).await.unwrap();
    assert_eq!(left().await, [10, 10]);
    let now = progress(&db.pool).await.unwrap();
    assert!(!now[0].is_estimate && now[0].last_slice_at.is_some());
    assert!(now[0].rows_per_second.unwrap() > 0.0 && now[0].seconds_left.unwrap() > 0.0);
    assert_eq!(raw_rows_left(&db.pool, Some(date(2026, 2, 2))).await.unwrap(), 6);
    run(&db.pool, 4, |_| {}).await.unwrap();
    let done = progress(&db.pool).await.unwrap();
    assert!(done.iter().all(|p| p.covered && p.raw_rows_left == 0));
    assert_eq!(raw_rows_left(&db.pool, None).await.unwrap(), 0);
}

#[tokio::test]
async fn many_raw_rows_are_estimated_not_counted() {
    let db = history().await;
    db.pool
        .execute(
            "set local session_replication_role = replica;
             insert into public.task_usage (task_id, provider, model, event_key, created_at)
             select '00000000-0000-4000-8000-000000000004', 'p', 'm', 'many ' || n, timestamptz '2026-01-01' + n * interval '1 second'
             from generate_series(1, 150000) n;
             analyze public.task_usage",
        )
        .await
        .unwrap();
    let now = progress(&db.pool).await.unwrap();
    assert!(now[0].is_estimate && (120_000..180_000).contains(&now[0].raw_rows_left), "{now:?}");
    let pages: i64 = sqlx::query_scalar("select count(*) from tallybook.raw_rows_before('-infinity') r where r.raw_rows = 0")
        .fetch_one(&db.pool)
        .await
        .unwrap();
    assert_eq!(pages, 1);
}

#[tokio::test]
async fn runs_ticks_and_writers_at_once_cover_each_day_once_and_stay_exact() {
    let db = history().await;
    db.pool
        .execute(
            "insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at)
             select '00000000-0000-4000-8000-000000000004', 'p', 'm' || n % 3, 'old ' || n, n, timestamptz '2025-01-01' + n * interval '7 hours'
             from generate_series(1, 600) n",
        )
        .await
        .unwrap();
    let ended = AtomicBool::new(false);
    let (ended, pool) = (&ended, &db.pool);
    let backfills = async {
        let runs = join_all((0..3).map(|_| run(pool, 20, |_| {}))).await;
        ended.store(true, Ordering::Relaxed);
        runs.into_iter().map(|run| run.unwrap().raw_rows).sum::<i64>()
    };
    let ticks = async {
        let mut background = Background::default();
        while !ended.load(Ordering::Relaxed) {
            fold::tick(pool).await.unwrap();
            background.step(pool, 20).await.unwrap();
        }
    };
    let writer = async {
        let mut n = 0;
        while !ended.load(Ordering::Relaxed) {
            n += 1;
            sqlx::query(
                "insert into public.task_usage (task_id, provider, model, event_key, input_tokens, created_at)
                 select '00000000-0000-4000-8000-000000000004', 'p', 'late', 'new ' || $1 || ' ' || d, 1, timestamptz '2025-01-01' + d * interval '20 days'
                 from generate_series(0, 9) d",
            )
            .bind(n)
            .execute(pool)
            .await
            .unwrap();
            sqlx::query("update public.task_usage set input_tokens = input_tokens + 1, model = 'm' || $1 % 3 where event_key like 'old %' and input_tokens % 7 = $1 % 7")
                .bind(n)
                .execute(pool)
                .await
                .unwrap();
        }
    };
    let checks = async {
        let mut checks = 0;
        while !ended.load(Ordering::Relaxed) {
            assert!(verify::verify(pool).await.unwrap().exact());
            checks += 1;
        }
        checks
    };
    let (raw_rows, (), (), checks) = tokio::join!(backfills, ticks, writer, checks);
    assert!(checks > 0 && raw_rows >= 300);
    let held: (i64, i64) = sqlx::query_as("select slices, raw_rows from tallybook.backfill_state").fetch_one(pool).await.unwrap();
    assert!(held.0 > 10 && held.1 >= raw_rows, "{held:?}");
    fold::drain(pool).await.unwrap();
    assert!(verify::verify(pool).await.unwrap().exact());
    assert!(progress(pool).await.unwrap().iter().all(|p| p.covered));
}

#[tokio::test]
async fn what_is_gentle_gives_way_to_others_and_rests() {
    let db = history().await;
    let mut background = Background::default();
    let mut other = db.connect().await;
    other.execute("begin; select pg_advisory_xact_lock(tallybook.fold_lock_key())").await.unwrap();
    assert!(background.step(&db.pool, 4).await.unwrap().is_none(), "somebody else is at work");
    other.execute("rollback").await.unwrap();
    assert!(background.step(&db.pool, 4).await.unwrap().is_some_and(|slice| slice.rows_written > 0));
    // A slice that took an hour and has ended right now.
    let rest = "update tallybook.backfill_state set last_slice_started_at = clock_timestamp() - interval '1 hour', last_slice_finished_at = clock_timestamp()";
    db.pool.execute(rest).await.unwrap();
    assert!(background.step(&db.pool, 4).await.unwrap().is_none(), "it rests");
    assert!(slice(&db.pool, 4).await.unwrap().is_some(), "whoever is told to does not");
    // A clock that was ahead.
    db.pool.execute("update tallybook.backfill_state set last_slice_started_at = clock_timestamp() + interval '1 hour', last_slice_finished_at = clock_timestamp() + interval '2 hours'").await.unwrap();
    assert!(background.step(&db.pool, 4).await.unwrap().is_some_and(|slice| slice.rows_written > 0));
    run(&db.pool, 4, |_| {}).await.unwrap();
    assert!(background.step(&db.pool, 4).await.unwrap().is_none());
    // A rollup that comes later is covered, too.
    db.pool
        .execute("select tallybook.create_rollup('by_model', '1 day', array['provider', 'model']); update tallybook.backfill_state set last_slice_finished_at = null")
        .await
        .unwrap();
    assert!(background.step(&db.pool, 1000).await.unwrap().is_some_and(|slice| slice.rows_written > 0));
    background.step(&db.pool, 1000).await.unwrap();
    let settled: bool =
        sqlx::query_scalar("select not bool_or(reads_raw) from tallybook.rollup").fetch_one(&db.pool).await.unwrap();
    assert!(settled && verify::verify(&db.pool).await.unwrap().exact());
}

#[tokio::test]
async fn a_slice_that_meets_a_lock_is_tried_again() {
    let db = history().await;
    db.pool
        .execute("alter function tallybook.backfill_slice(bigint, timestamptz, boolean) set lock_timeout = '50ms'")
        .await
        .unwrap();
    let mut host = db.connect().await;
    host.execute("begin; lock table public.task_usage in access exclusive mode").await.unwrap();
    let (waited, waits) = tokio::sync::oneshot::channel();
    let mut waited = Some(waited);
    let options = Options::default();
    let covering = cover(&db.pool, &options, |event| {
        if let Event::Waits(_) = event
            && let Some(waited) = waited.take()
        {
            waited.send(()).unwrap();
        }
    });
    let ending = async {
        waits.await.unwrap();
        host.execute("rollback").await.unwrap();
    };
    let (done, ()) = tokio::join!(covering, ending);
    assert_eq!(done.unwrap().raw_rows, 16);
}

/// Makes every change of a column of `tallybook.rollup` fail.
async fn fail(db: &TestDatabase, column: &str, sqlstate: &str) {
    let sql = format!(
        "create or replace function public.fail() returns trigger language plpgsql as $$ begin raise exception 'no' using errcode = tg_argv[0]; end $$;
         create or replace trigger fail before update of {column} on tallybook.rollup for each row execute function public.fail('{sqlstate}')"
    );
    db.pool.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
}

/// Covers all, and says how often that had to wait.
async fn cover_waiting(db: &TestDatabase) -> (Result<Summary, sqlx::Error>, u32) {
    let mut waits = 0;
    let done = cover(&db.pool, &Options::default(), |event| waits += u32::from(matches!(event, Event::Waits(_)))).await;
    (done, waits)
}

#[tokio::test]
async fn a_run_that_keeps_losing_ends_and_views_that_do_are_left_to_the_service() {
    let db = history().await;
    fail(&db, "covered_from", "55P03").await;
    let (done, waits) = cover_waiting(&db).await;
    assert_eq!((cause(&done.unwrap_err()), waits), (Cause::Conflict, CONFLICTS_MAX));
    fail(&db, "reads_raw", "55P03").await;
    let (done, waits) = cover_waiting(&db).await;
    assert_eq!((done.unwrap().raw_rows, waits), (16, CONFLICTS_MAX));
    assert!(Background::default().step(&db.pool, 1000).await.unwrap().is_none());
}

#[tokio::test]
async fn what_cannot_be_done_is_told_and_not_tried_again() {
    let db = history().await;
    for column in ["covered_from", "reads_raw"] {
        fail(&db, column, "P0001").await;
        let (done, waits) = cover_waiting(&db).await;
        assert_eq!((cause(&done.unwrap_err()), waits), (Cause::Other, 0), "{column}");
    }
    assert!(Background::default().step(&db.pool, 1000).await.is_err());
}

#[tokio::test]
async fn what_makes_no_slice_is_refused() {
    let db = history().await;
    for bad in ["0, '-infinity'", "1, '2026-02-01 01:00+00'", "1, null", "null, '-infinity'"] {
        for call in [format!("backfill_slice({bad}, false)"), format!("backfill_plan({bad})")] {
            let sql = format!("select tallybook.{call}");
            let refused = db.pool.execute(sqlx::AssertSqlSafe(sql)).await.unwrap_err();
            assert_eq!(refused.as_database_error().unwrap().code().unwrap(), "22023", "{call}");
        }
    }
}

#[tokio::test]
async fn a_view_that_is_being_read_is_settled_later() {
    let db = history().await;
    let mut background = Background::default();
    let mut reader = db.connect().await;
    reader.execute("begin; select from tallybook.task_usage_daily_now").await.unwrap();
    while slice(&db.pool, 1000).await.unwrap().is_some() {}
    assert!(background.step(&db.pool, 1000).await.unwrap().is_none());
    let reads_raw = "select bool_or(reads_raw) from tallybook.rollup";
    assert!(sqlx::query_scalar::<_, bool>(reads_raw).fetch_one(&db.pool).await.unwrap());
    reader.execute("rollback").await.unwrap();
    background.step(&db.pool, 1000).await.unwrap();
    assert!(sqlx::query_scalar::<_, bool>(reads_raw).fetch_one(&db.pool).await.unwrap(), "not at once: others read");
    Background::default().step(&db.pool, 1000).await.unwrap();
    assert!(!sqlx::query_scalar::<_, bool>(reads_raw).fetch_one(&db.pool).await.unwrap());
}
