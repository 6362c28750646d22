//! What reads and folds cost, in pages of memory touched: the server's own count, which no busy machine changes.
use super::{FOLD, folded_world, run, text};
use crate::races::session::{Isolation, Session};
use crate::races::world::{Capture, assert_exact};
use sqlx::{AssertSqlSafe, PgConnection};

/// Pages that a statement touches.
async fn pages(conn: &mut PgConnection, sql: &str) -> i64 {
    let sqlx::types::Json(plan): sqlx::types::Json<serde_json::Value> =
        sqlx::query_scalar(AssertSqlSafe(format!("explain (analyze, buffers, timing off, format json) {sql}")))
            .fetch_one(conn)
            .await
            .unwrap();
    let count = |name: &str| plan[0]["Plan"][name].as_i64().unwrap();
    count("Shared Hit Blocks") + count("Shared Read Blocks")
}

/// History of `rows` usage rows of 50 tasks each, from `first` on.
async fn grow(conn: &mut PgConnection, first: i64, rows: i64) {
    run(
        conn,
        &format!(
            "insert into agent_task_queue (id, agent_id, runtime_id)
             select the('history ' || n), the('agent 1'), the('runtime 1') from generate_series({}, {}) n",
            first / 50,
            (first + rows) / 50 - 1
        ),
    )
    .await;
    run(
        conn,
        &format!(
            "insert into task_usage (task_id, provider, model, event_key, input_tokens, created_at)
             select the('history ' || n / 50), 'claude', 'opus', n::text, 1, timestamptz '2026-01-01 00:00+00' - n * interval '7 minutes'
             from generate_series({first}, {}) n",
            first + rows - 1
        ),
    )
    .await;
    run(conn, FOLD).await;
    for table in [
        "task_usage",
        "agent_task_queue",
        "tallybook.usage_change",
        "tallybook.task_change",
        "tallybook.task_usage_daily",
        "tallybook.task_usage_quarter_hour",
    ] {
        run(conn, &format!("vacuum analyze {table}")).await;
    }
}

async fn report_fresh(conn: &mut PgConnection, rows: i64) {
    run(
        conn,
        &format!(
            "insert into task_usage (task_id, provider, model, event_key, input_tokens)
             select the('history ' || n % 20), 'claude', 'opus', gen_random_uuid()::text, 1 from generate_series(1, {rows}) n"
        ),
    )
    .await;
}

#[tokio::test]
async fn r23_a_tick_costs_the_same_whatever_the_history() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    let mut ticks = Vec::new();
    let mut reads = Vec::new();
    for (first, rows) in [(0, 3_000), (3_000, 27_000)] {
        grow(&mut conn, first, rows).await;
        // the second of two alike: the first one fills the session's caches
        for measured in [false, true] {
            report_fresh(&mut conn, 200).await;
            let read = pages(&mut conn, "select count(*) from tallybook.pending()").await;
            let tick = pages(&mut conn, FOLD).await;
            if measured {
                reads.push(read);
                ticks.push(tick);
            }
        }
    }
    assert!(ticks[1] <= ticks[0] * 3 / 2 + 100, "pages of a tick at 3,000 rows of history, and at 30,000: {ticks:?}");
    assert!(reads[1] <= reads[0] * 3 / 2 + 100, "pages of pending at 3,000 rows of history, and at 30,000: {reads:?}");
    assert_exact(&mut conn, "ticks").await;
}

#[tokio::test]
async fn r24_a_long_backlog_is_caught_up_in_bounded_ticks() {
    let (_db, mut conn) = folded_world(Capture::ByRow).await;
    run(
        &mut conn,
        "insert into agent_task_queue (id, agent_id) select the('history ' || n), the('agent 1') from generate_series(0, 599) n",
    )
    .await;
    for day in 0..30 {
        run(
            &mut conn,
            &format!(
                "insert into task_usage (task_id, provider, model, event_key, input_tokens, created_at)
                 select the('history ' || n), 'claude', 'opus', '{day}', 1, timestamptz '2026-02-01 00:00+00' + interval '{day} days'
                 from generate_series({day} * 20, {day} * 20 + 19) n"
            ),
        )
        .await;
    }
    let waiting = "select usage_rows + task_rows from tallybook.backlog()";
    let mut left: i64 = text(&mut conn, waiting).await.parse().unwrap();
    assert_eq!(left, 1_200);
    let mut ticks = 0;
    while left > 0 {
        run(&mut conn, "select tallybook.fold(2, 50)").await;
        let now: i64 = text(&mut conn, waiting).await.parse().unwrap();
        // two batches of tasks picked by at most 2 x 75 rows each, and all of those tasks' rows
        assert!(now < left && left - now <= 600, "a tick took {} rows", left - now);
        left = now;
        ticks += 1;
        if ticks % 4 == 0 {
            assert_exact(&mut conn, "some of the backlog was folded").await;
        }
    }
    assert!(ticks >= 3, "{ticks} ticks");
    assert_exact(&mut conn, "the backlog was folded").await;
}

/// What a read looks at, at most, for each transaction that is open.
const OPEN_PAGES: i64 = 30;

#[tokio::test]
async fn r33_a_transaction_held_open_does_not_slow_reads_and_folds() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    grow(&mut conn, 0, 1_000).await;
    let (mut reader, mut writer) = (Session::open(&db, "reader").await, Session::open(&db, "writer").await);
    reader.begin(Isolation::RepeatableRead).await;
    writer.begin(Isolation::ReadCommitted).await;
    writer.finishes("update task_usage set input_tokens = 7 where task_id = the('task 2')").await;
    let (mut reads, mut folds, mut open) = (Vec::new(), Vec::new(), Vec::<i64>::new());
    for round in 0..40 {
        report_fresh(&mut conn, 100).await;
        if round % 2 == 1 {
            run(&mut conn, "update agent_task_queue set runtime_id = case runtime_id when the('runtime 1') then the('runtime 2') else the('runtime 1') end where id = the('task 1')").await;
        }
        open.push(text(&mut conn, "select cardinality(open) from tallybook.mark()").await.parse().unwrap());
        reads.push(pages(&mut conn, "select count(*) from tallybook.pending()").await);
        folds.push(pages(&mut conn, FOLD).await);
    }
    // of the rollups' own rows a version stays behind for each fold; of the queue nothing counts
    let sums = |of: &[i64]| (of[8..12].iter().sum::<i64>(), of[36..40].iter().sum::<i64>());
    let (early, late) = sums(&reads);
    // other tests' transactions are looked up as well while they are open: in each change table, three times
    let (open_early, open_late) = sums(&open);
    let neighbours = OPEN_PAGES * (open_late - open_early).max(0);
    assert!(
        late <= early * 11 / 10 + neighbours,
        "pages of reads, round by round: {reads:?}, beside open transactions: {open:?}"
    );
    let (early, late) = sums(&folds);
    assert!(late <= early * 2, "pages of folds, round by round: {folds:?}");
    assert_exact(&mut conn, "an open transaction").await;
    writer.commit().await;
    assert_exact(&mut conn, "the writer's commit").await;
    let seen = text(reader.conn(), "select sum(input_tokens) from tallybook.task_usage_daily_now").await;
    assert_eq!(seen, text(reader.conn(), "select sum(input_tokens) from task_usage").await);
}

/// The planner knows nothing of what is pending, and little of the newest days: a join that it chose by its statistics might compare each row with each.
#[tokio::test]
async fn what_is_pending_is_looked_up_by_hash_and_never_joined() {
    let (_db, mut conn) = folded_world(Capture::ByRow).await;
    run(&mut conn, "select tallybook.backfill_slice(1000000)").await;
    run(&mut conn, "select tallybook.settle_views()").await;
    for view in ["task_usage_daily_now", "task_usage_quarter_hour_now"] {
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("explain select * from tallybook.{view}")))
            .fetch_all(&mut conn)
            .await
            .unwrap();
        let plan = plan.join("\n");
        assert_eq!(plan.matches("(hashed SubPlan").count(), 2, "{plan}");
        assert!(!plan.contains("Join") && !plan.contains("Nested Loop"), "{plan}");
    }
}
