//! What verify finds, where, and how much of it it keeps.
use super::*;
use crate::rollup::{fold, repair};
use crate::testing::{self, TestDatabase};
use jiff::civil::{Date, date};
use sqlx::Executor;

/// Six days with usage, folded.
async fn world() -> TestDatabase {
    let db = testing::database().await;
    db.pool.execute(include_str!("../../testing/one_task.sql")).await.unwrap();
    db.pool.execute(include_str!("../../testing/five_days.sql")).await.unwrap();
    fold::drain(&db.pool).await.unwrap();
    db
}

/// Slices as small as they get: a day each.
fn by_day(range: DayRange) -> Scope {
    Scope { range, slice_rows: 1, ..Scope::default() }
}

async fn run(db: &TestDatabase, scope: &Scope) -> Report {
    check(&db.pool, &plan(&db.pool, scope).await.unwrap(), |_| {}).await.unwrap()
}

/// The days on which the daily rollup differs.
fn days_of(report: &Report) -> Vec<Date> {
    report.rollups[0].drifted_days.iter().map(|drifted| drifted.day).collect()
}

#[tokio::test]
async fn a_planted_row_is_found_and_repaired() {
    let db = testing::database().await;
    db.pool.execute(include_str!("../../testing/one_task.sql")).await.unwrap();
    assert!(verify(&db.pool).await.unwrap().exact());
    fold::drain(&db.pool).await.unwrap();
    db.pool.execute("update tallybook.task_usage_daily set input_tokens = input_tokens + 1").await.unwrap();
    let report = verify(&db.pool).await.unwrap();
    let daily = &report.rollups[0];
    assert_eq!((daily.name.as_str(), daily.keys, daily.drifted_keys), ("task_usage_daily", 1, 1));
    assert_eq!(daily.drift[0].shown["input_tokens"], serde_json::json!(11));
    assert_eq!(daily.drift[0].raw["input_tokens"], serde_json::json!(10));
    let repair = repair::repair(&db.pool).await.unwrap();
    assert_eq!(repair.days.len(), 1);
    assert!(repair.after.exact());
}

#[tokio::test]
async fn slices_leave_no_gap_and_reach_to_the_ends_of_time() {
    let db = world().await;
    for odd in ["'-infinity'", "'infinity'", "'0044-03-15 12:00:00+00 BC'", "'20000-01-01 00:00:00+00'"] {
        let sql = format!(
            "insert into public.task_usage (task_id, provider, model, created_at) select id, {odd}, 'odd', {odd} from public.agent_task_queue"
        );
        db.pool.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    }
    for slice_rows in [1, 2, 3, 5, 1_000] {
        let scope = Scope { slice_rows, ..Scope::default() };
        let slices = plan(&db.pool, &scope).await.unwrap().slices;
        assert_eq!(slices.first().unwrap().until, None);
        assert_eq!(slices.last().unwrap().since, None);
        assert!(slices.windows(2).all(|pair| pair[0].since.is_some() && pair[0].since == pair[1].until), "{slices:?}");
        let report = run(&db, &scope).await;
        let whole = verify_in(&mut Session::from(&mut db.connect().await)).await.unwrap();
        assert!(report.exact());
        assert_eq!(report.slices, slices.len());
        let keys = |report: &Report| report.rollups.iter().map(|rollup| rollup.keys).collect::<Vec<_>>();
        assert_eq!(keys(&report), keys(&whole), "every key is in one slice, and in one only");
    }
}

#[tokio::test]
async fn drift_on_one_day_is_found_by_its_slice_and_repaired_alone() {
    let db = world().await;
    db.pool.execute("update tallybook.task_usage_daily set output_tokens = 7 where bucket_date = '2026-02-03'").await.unwrap();
    let drifted = date(2026, 2, 3);
    let mut found = Vec::new();
    for slice in plan(&db.pool, &by_day(DayRange::ALL)).await.unwrap().slices {
        let rollups = compare(&db.pool, slice).await.unwrap();
        if rollups.iter().any(|rollup| rollup.drifted_keys > 0) {
            found.push(slice);
        }
    }
    assert_eq!(found, [DayRange::day(drifted)]);
    assert!(run(&db, &by_day(DayRange::between(None, Some(date(2026, 2, 2))))).await.exact());
    assert!(run(&db, &by_day(DayRange::between(Some(date(2026, 2, 4)), None))).await.exact());
    let report = run(&db, &by_day(DayRange::between(Some(drifted), Some(drifted)))).await;
    assert_eq!((report.slices, days_of(&report)), (1, vec![drifted]));

    // Rows that a rebuild writes are new ones.
    let versions = "select string_agg(bucket_date || ' ' || ctid || xmin, ', ' order by bucket_date)
        filter (where bucket_date <> '2026-02-03') || (select max(xmin::text::bigint) from tallybook.task_usage_quarter_hour)
        from tallybook.task_usage_daily";
    let before: String = sqlx::query_scalar(versions).fetch_one(&db.pool).await.unwrap();
    let report = repair::repair(&db.pool).await.unwrap();
    let rebuilt = repair::Rebuilt { rollup: "task_usage_daily".to_owned(), day: drifted, keys: 1, rows_written: 1 };
    assert_eq!((report.days.as_slice(), report.rebuilt.as_slice()), ([drifted].as_slice(), [rebuilt].as_slice()));
    assert!(report.after.exact() && verify(&db.pool).await.unwrap().exact());
    assert_eq!(sqlx::query_scalar::<_, String>(versions).fetch_one(&db.pool).await.unwrap(), before, "nothing else was written");
}

#[tokio::test]
async fn ghost_rows_are_found_wherever_they_are_and_mended() {
    let db = world().await;
    let days = ["2025-12-25", "2026-01-20", "2031-01-01", "infinity", "-infinity"];
    for day in days {
        sqlx::query(
            "insert into tallybook.task_usage_daily
             select (jsonb_populate_record(d, jsonb_build_object('bucket_date', $1))).* from tallybook.task_usage_daily d
             where bucket_date = '2026-02-01'",
        )
        .bind(day)
        .execute(&db.pool)
        .await
        .unwrap();
    }
    let report = run(&db, &by_day(DayRange::ALL)).await;
    let found: Vec<String> = days_of(&report).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["0001-01-01", "2025-12-25", "2026-01-20", "2031-01-01", "9999-12-31"]);
    let sample = Scope { sample: Some(Sample { size: sample::Size::Percent(100), seed: 1 }), ..Scope::default() };
    let sampled = run(&db, &sample).await;
    assert_eq!((days_of(&sampled), sampled.sample.unwrap().of_days), (days_of(&report), 11));
    let repaired = repair::repair(&db.pool).await.unwrap();
    assert_eq!(repaired.rebuilt.len(), days.len());
    assert!(repaired.after.exact() && verify(&db.pool).await.unwrap().exact());
}

#[tokio::test]
async fn a_sample_is_drawn_from_the_days_that_hold_anything_and_again_by_its_seed() {
    let db = world().await;
    let draw = async |seed, range| {
        let scope = Scope { range, sample: Some(Sample { size: sample::Size::Days(2), seed }), ..Scope::default() };
        run(&db, &scope).await.sample.unwrap()
    };
    let drawn = draw(11, DayRange::ALL).await;
    assert_eq!((drawn.days.len(), drawn.of_days), (2, 6));
    assert_eq!(draw(11, DayRange::ALL).await, drawn);
    let within = DayRange::between(Some(date(2026, 2, 2)), Some(date(2026, 2, 4)));
    let drawn = draw(11, within).await;
    assert_eq!(drawn.of_days, 3);
    assert!(drawn.days.iter().all(|day| (date(2026, 2, 2)..=date(2026, 2, 4)).contains(day)));
    let empty = testing::database().await;
    let scope = Scope { sample: Some(Sample { size: sample::Size::Percent(5), seed: 0 }), ..Scope::default() };
    let report = run(&empty, &scope).await;
    assert!(report.exact() && report.slices == 0);
}

#[tokio::test]
async fn all_that_differs_is_counted_and_so_much_of_it_kept() {
    let db = testing::database().await;
    db.pool.execute(include_str!("../../testing/one_task.sql")).await.unwrap();
    let models = i64::try_from(EXAMPLES_MAX).unwrap() + 500;
    sqlx::query(
        "insert into public.task_usage (task_id, provider, model, created_at)
         select id, 'p', n, timestamptz '2026-02-01' + (n % 3) * interval '1 day' from public.agent_task_queue, generate_series(1, $1) n",
    )
    .bind(models)
    .execute(&db.pool)
    .await
    .unwrap();
    fold::drain(&db.pool).await.unwrap();
    db.pool.execute("update tallybook.task_usage_daily set input_tokens = input_tokens + 1").await.unwrap();
    for slice_rows in [1, 1_000_000] {
        let report = run(&db, &Scope { slice_rows, ..Scope::default() }).await;
        let daily = &report.rollups[0];
        assert_eq!((daily.drifted_keys, daily.drift.len()), (models + 1, EXAMPLES_MAX));
        assert_eq!(daily.drifted_days.iter().map(|drifted| drifted.keys).sum::<i64>(), models + 1);
        assert_eq!(daily.drifted_days.len(), 4);
    }
    let (drifted, examples): (i64, i64) = sqlx::query_as(
        "select drifted_keys, jsonb_array_length(examples)::bigint from tallybook.verify('task_usage_daily', '-infinity', 'infinity', 7)",
    )
    .fetch_one(&db.pool)
    .await
    .unwrap();
    assert_eq!((drifted, examples), (models + 1, 7));
}

#[tokio::test]
async fn what_is_pending_and_what_is_not_covered_is_compared_as_well() {
    let db = world().await;
    db.pool.execute("select tallybook.drop_rollup('task_usage_daily')").await.unwrap();
    db.pool
        .execute("select tallybook.create_rollup('task_usage_daily', '1 day', array['workspace_id', 'runtime_id', 'provider', 'model'])")
        .await
        .unwrap();
    db.pool.execute("select tallybook.backfill_slice(4)").await.unwrap();
    db.pool.execute("update public.task_usage set input_tokens = 5 where created_at < '2026-02-03'").await.unwrap();
    db.pool.execute("delete from public.task_usage where created_at >= '2026-02-05'").await.unwrap();
    let report = run(&db, &by_day(DayRange::ALL)).await;
    assert!(report.exact(), "{report:#?}");
    assert_eq!(report.rollups.iter().map(|rollup| rollup.keys).collect::<Vec<_>>(), [5, 5]);
}

#[tokio::test]
async fn a_repair_waits_for_capture_to_be_mended() {
    let db = world().await;
    db.pool.execute("alter table public.agent disable trigger tallybook_update").await.unwrap();
    db.pool.execute("delete from tallybook.task_usage_daily where bucket_date = '2026-02-02'").await.unwrap();
    let refused = repair::repair(&db.pool).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "capture is not intact: trigger tallybook_update on public.agent is disabled; `tallybook doctor` tells how to mend it, then repair again"
    );
    db.pool.execute("alter table public.agent enable trigger tallybook_update").await.unwrap();
    assert!(repair::repair(&db.pool).await.unwrap().after.exact());
}

#[tokio::test]
async fn a_cause_that_is_there_is_found_and_one_without_a_trace_is_suspected() {
    let db = world().await;
    let causes = async || {
        let report = verify(&db.pool).await.unwrap();
        cause::causes(&db.pool, &report).await.unwrap()
    };
    assert_eq!(causes().await, []);
    db.pool
        .execute(
            "alter table public.task_usage disable trigger tallybook_update;
             update public.task_usage set input_tokens = 9 where created_at < '2026-02-01'",
        )
        .await
        .unwrap();
    let there = causes().await;
    assert_eq!(there[0].certainty, cause::Certainty::Found);
    assert!(there[0].what.starts_with("trigger tallybook_update on public.task_usage: it is disabled"), "{there:?}");
    assert!(there[1].what.contains("show other sums of the same number of rows"), "{there:?}");
    db.pool.execute("alter table public.task_usage enable trigger tallybook_update").await.unwrap();
    assert!(repair::repair(&db.pool).await.unwrap().after.exact());

    db.pool
        .execute(
            "create or replace function tallybook.capture_task() returns trigger language plpgsql as 'begin return null; end';
             update public.agent_task_queue set runtime_id = null",
        )
        .await
        .unwrap();
    let altered = causes().await;
    assert_eq!(altered[0].certainty, cause::Certainty::Found);
    assert!(altered[0].what.starts_with("tallybook.capture_task(): it is not what the migrations make"), "{altered:?}");
    let mend = crate::doctor::examine(&db.pool).await.unwrap().findings.swap_remove(0).sql.unwrap();
    db.pool.execute(sqlx::AssertSqlSafe(mend)).await.unwrap();
    assert!(repair::repair(&db.pool).await.unwrap().after.exact());

    for (sql, suspected) in [
        ("delete from public.task_usage where created_at > '2026-02-03'", "show more rows than there are"),
        (
            "insert into public.task_usage (task_id, provider, model, event_key) select id, 'anthropic', 'opus', 'unseen' from public.agent_task_queue",
            "show fewer rows than there are",
        ),
    ] {
        db.pool
            .execute(sqlx::AssertSqlSafe(format!("begin; set local session_replication_role = replica; {sql}; commit")))
            .await
            .unwrap();
        let causes = causes().await;
        assert!(causes.iter().all(|cause| cause.certainty == cause::Certainty::Suspected), "{causes:?}");
        assert!(causes[0].what.contains(suspected) && causes[0].what.contains("session_replication_role"), "{causes:?}");
        assert!(repair::repair(&db.pool).await.unwrap().after.exact());
    }
}
