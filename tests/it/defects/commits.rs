//! Commits at awkward moments: late, between a read and a write, beside another one that does the same.
use super::{FOLD, folded_world};
use crate::races::session::{ISOLATIONS, Session, code_of};
use crate::races::world::{
    CAPTURES, Capture, GATE_CLOSE, GATE_OPEN, assert_exact, database, fold_exactly, install_gate, redeclare,
};
use sqlx::Executor;

const INSERT: &str = "insert into task_usage (task_id, provider, model, event_key, input_tokens)
    values (the('task 1'), 'claude', 'opus', gen_random_uuid()::text, 1000)";

#[tokio::test]
async fn r01_a_row_that_commits_after_many_ticks_is_not_lost() {
    for isolation in ISOLATIONS {
        let (db, mut conn) = folded_world(Capture::ByStatement).await;
        let mut late = Session::open(&db, "late").await;
        late.begin(isolation).await;
        late.finishes(INSERT).await;
        for _ in 0..5 {
            conn.execute(INSERT).await.unwrap();
            conn.execute(FOLD).await.unwrap();
        }
        late.commit().await;
        fold_exactly(&mut conn, "a late commit").await;
    }
}

#[tokio::test]
async fn r01_what_a_transaction_writes_after_it_has_folded_is_not_lost() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    conn.execute("update task_usage set input_tokens = input_tokens + 1").await.unwrap();
    conn.execute(
        "create function public.gate() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock_shared(4711); return null; end $$;
         create trigger gate after insert on tallybook.task_usage_daily for each statement execute function public.gate()",
    )
    .await
    .unwrap();
    let (mut gate, mut folder) = (Session::open(&db, "gate").await, Session::open(&db, "folder").await);
    gate.finishes(GATE_CLOSE).await;
    folder.finishes("begin").await;
    folder.blocks("select tallybook.fold(25, 1)").await;
    // a younger transaction ends before the fold's last snapshot: the fold's own id lies below it
    conn.execute(INSERT).await.unwrap();
    gate.finishes(GATE_OPEN).await;
    folder.resume().await.unwrap();
    folder.finishes("update task_usage set output_tokens = output_tokens + 1").await;
    folder.commit().await;
    fold_exactly(&mut conn, "a write after a fold").await;
}

#[tokio::test]
async fn r02_a_row_that_commits_during_the_last_slice_of_backfill_is_not_lost() {
    for capture in CAPTURES {
        let db = database(capture).await;
        let mut conn = db.connect().await;
        redeclare(&mut conn).await;
        conn.execute(FOLD).await.unwrap();
        install_gate(&mut conn, "task_usage_daily").await;
        let (mut gate, mut worker) = (Session::open(&db, "gate").await, Session::open(&db, "worker").await);
        gate.finishes(GATE_CLOSE).await;
        worker.blocks("select tallybook.backfill_slice(1000000)").await;
        conn.execute(INSERT).await.unwrap();
        gate.finishes(GATE_OPEN).await;
        worker.resume().await.unwrap();
        assert_exact(&mut conn, "the last slice").await;
        conn.execute("select tallybook.settle_views()").await.unwrap();
        fold_exactly(&mut conn, "the last slice, settled").await;
    }
}

#[tokio::test]
async fn r03_a_change_that_commits_between_the_reading_and_the_emptying_of_the_queue_stays_in_it() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    install_gate(&mut conn, "task_usage_daily").await;
    let (mut gate, mut worker) = (Session::open(&db, "gate").await, Session::open(&db, "worker").await);
    conn.execute(INSERT).await.unwrap();
    gate.finishes(GATE_CLOSE).await;
    worker.blocks(FOLD).await;
    conn.execute(INSERT).await.unwrap();
    gate.finishes(GATE_OPEN).await;
    worker.resume().await.unwrap();
    let waiting: i64 = sqlx::query_scalar("select usage_rows from tallybook.backlog()").fetch_one(&mut conn).await.unwrap();
    assert_eq!(waiting, 1, "the change that came in between waits for the next fold");
    fold_exactly(&mut conn, "a change in between").await;
}

#[tokio::test]
async fn r04_the_later_of_two_changes_of_one_key_is_not_lost() {
    let (db, mut conn) = folded_world(Capture::ByRow).await;
    let (mut one, mut two) = (Session::open(&db, "one").await, Session::open(&db, "two").await);
    for isolation in ISOLATIONS {
        one.begin(isolation).await;
        two.begin(isolation).await;
        one.finishes(INSERT).await;
        two.finishes(INSERT).await;
        one.commit().await;
        fold_exactly(&mut conn, "the first one's commit").await;
        two.commit().await;
        fold_exactly(&mut conn, "the second one's commit").await;
    }
}

#[tokio::test]
async fn r05_of_two_rebuilds_the_older_snapshot_does_not_win() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    install_gate(&mut conn, "task_usage_quarter_hour").await;
    let (mut gate, mut one, mut two) =
        (Session::open(&db, "gate").await, Session::open(&db, "one").await, Session::open(&db, "two").await);
    gate.finishes(GATE_CLOSE).await;
    one.blocks("select tallybook.rebuild('2026-01-01', '2026-01-05')").await;
    two.blocks("select tallybook.rebuild('-infinity', 'infinity')").await;
    conn.execute("update task_usage set input_tokens = input_tokens * 3").await.unwrap();
    gate.finishes(GATE_OPEN).await;
    one.resume().await.unwrap();
    two.resume().await.unwrap();
    fold_exactly(&mut conn, "two rebuilds").await;
}

#[tokio::test]
async fn r06_what_is_folded_backfilled_killed_and_tried_again_counts_once() {
    let db = database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    redeclare(&mut conn).await;
    conn.execute(FOLD).await.unwrap();
    install_gate(&mut conn, "task_usage_daily").await;
    let (mut gate, mut slice, mut rebuild) =
        (Session::open(&db, "gate").await, Session::open(&db, "slice").await, Session::open(&db, "rebuild").await);
    gate.finishes(GATE_CLOSE).await;
    slice.blocks("select tallybook.backfill_slice(1000)").await;
    let folded: i64 = sqlx::query_scalar(FOLD).fetch_one(&mut conn).await.unwrap();
    assert_eq!(folded, 0, "a fold does not wait for the slice");
    rebuild.blocks("select tallybook.rebuild('-infinity', 'infinity')").await;
    // the slice is killed after it has written and before it could say so
    sqlx::query("select pg_terminate_backend($1)").bind(slice.pid()).execute(&mut conn).await.unwrap();
    assert_eq!(code_of(&slice.resume().await.unwrap_err()), "57P01");
    gate.finishes(GATE_OPEN).await;
    rebuild.resume().await.unwrap();
    assert_exact(&mut conn, "a slice was killed").await;
    conn.execute("update task_usage set output_tokens = 50").await.unwrap();

    gate.finishes(GATE_CLOSE).await;
    let mut fold = Session::open(&db, "fold").await;
    fold.blocks(FOLD).await;
    sqlx::query("select pg_terminate_backend($1)").bind(fold.pid()).execute(&mut conn).await.unwrap();
    assert_eq!(code_of(&fold.resume().await.unwrap_err()), "57P01");
    gate.finishes(GATE_OPEN).await;
    fold_exactly(&mut conn, "a fold was killed and tried again").await;
}

#[tokio::test]
async fn r06_a_fold_beside_a_slice_of_backfill_leaves_it_what_is_pending() {
    let db = database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    conn.execute(FOLD).await.unwrap();
    redeclare(&mut conn).await;
    conn.execute(INSERT).await.unwrap();
    install_gate(&mut conn, "task_usage_daily").await;
    let (mut gate, mut slice) = (Session::open(&db, "gate").await, Session::open(&db, "slice").await);
    gate.finishes(GATE_CLOSE).await;
    slice.blocks("select tallybook.backfill_slice(1000)").await;
    conn.execute(FOLD).await.unwrap();
    gate.finishes(GATE_OPEN).await;
    slice.resume().await.unwrap();
    fold_exactly(&mut conn, "a fold beside a slice").await;
}

#[tokio::test]
async fn r27_crossing_bulk_moves_and_open_transactions_hold_nobody_up() {
    for capture in CAPTURES {
        let (db, mut conn) = folded_world(capture).await;
        let (mut one, mut two) = (Session::open(&db, "one").await, Session::open(&db, "two").await);
        for isolation in ISOLATIONS {
            one.begin(isolation).await;
            two.begin(isolation).await;
            one.finishes("update agent_task_queue set runtime_id = the('runtime 2') where id = the('task 1')").await;
            two.finishes("update agent_task_queue set runtime_id = the('runtime 1') where id = the('task 3')").await;
            one.finishes("update task_usage set model = model || '?' where task_id = the('task 1')").await;
            two.finishes("update task_usage set model = model || '?' where task_id = the('task 3')").await;
            let mut folder = Session::open(&db, "folder").await;
            folder.finishes(FOLD).await;
            folder.finishes("select tallybook.rebuild('-infinity', 'infinity')").await;
            two.commit().await;
            one.commit().await;
            fold_exactly(&mut conn, "crossing moves").await;
        }
    }
}
