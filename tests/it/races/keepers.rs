//! Maintenance beside maintenance: whatever comes while a fold, a slice or a rebuild stands between its snapshot and its first
//! write, in either order, with a change of the host's in between. Whoever comes second is told so, or waits, or finds nothing to do.
use super::Played;
use super::session::{ISOLATIONS, Session, Step, code_of};
use super::world::{
    CAPTURES, GATE_CLOSE, GATE_OPEN, assert_equals_raw, database, fold_exactly, install_gate, redeclare, reset, uncover,
};
use sqlx::Executor;

/// What writes rollups.
const KEEPERS: [&str; 8] = [
    "select tallybook.fold(25, 50000)",
    "select tallybook.fold(1, 1)",
    "select tallybook.rollup_task_usage_daily()",
    "select tallybook.backfill_slice(2)",
    "select tallybook.backfill_slice(1000)",
    "select tallybook.rebuild('2026-01-02', '2026-01-04')",
    "select tallybook.rebuild_rollup('task_usage_daily', '2026-01-02', '2026-01-04')",
    "select tallybook.rollup_task_usage_daily_window('-infinity', 'infinity')",
];
/// What the host does in between: usage, and a move of it.
const CHANGES: [&str; 2] = [
    "update task_usage set input_tokens = input_tokens + 7 where task_id = the('task 1')",
    "update agent_task_queue set runtime_id = the('runtime 3'), agent_id = the('agent 2') where id = the('task 1')",
];

/// The second may be told that somebody is at work.
const TOLD: &str = "55P03";

#[tokio::test]
async fn two_keepers_at_once_count_nothing_twice_and_lose_nothing() {
    let mut played = Played::default();
    for capture in CAPTURES {
        let db = database(capture).await;
        let mut conn = db.connect().await;
        redeclare(&mut conn).await;
        install_gate(&mut conn, "task_usage_daily").await;
        let (mut first, mut second) = (Session::open(&db, "first").await, Session::open(&db, "second").await);
        let (mut writer, mut gate) = (Session::open(&db, "writer").await, Session::open(&db, "gate").await);
        for (row, one) in KEEPERS.into_iter().enumerate() {
            for (column, other) in KEEPERS.into_iter().enumerate() {
                let change = CHANGES[(row + column) % CHANGES.len()];
                let after = format!("{capture:?} | {one} | {other} | {change}");
                // Something is pending, and no day is covered.
                reset(&mut conn).await;
                conn.execute("select tallybook.fold(25, 50000)").await.unwrap();
                conn.execute("update task_usage set input_tokens = input_tokens + 1").await.unwrap();
                uncover(&mut conn).await;
                if !one.contains("backfill") {
                    // What is covered has rows to be written.
                    conn.execute("select tallybook.backfill_slice(1000)").await.unwrap();
                }

                gate.finishes(GATE_CLOSE).await;
                first.blocks(one).await;
                writer.begin(ISOLATIONS[(row + column) % ISOLATIONS.len()]).await;
                writer.finishes(change).await;
                let second_waits = match second.step(other).await {
                    Step::Waits => true,
                    Step::Finished(Ok(())) => false,
                    Step::Finished(Err(error)) => {
                        assert_eq!(code_of(&error), TOLD, "{after}: {error}");
                        false
                    }
                };
                writer.commit().await;
                assert_equals_raw(&mut conn, &after).await;
                gate.finishes(GATE_OPEN).await;
                first.resume().await.unwrap();
                if second_waits {
                    second.resume().await.unwrap();
                }
                fold_exactly(&mut conn, &after).await;
                played.of_maintenance += 1;
            }
        }
    }
    played.record();
}
