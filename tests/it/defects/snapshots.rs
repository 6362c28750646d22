//! Old snapshots, in one row each; `races/snapshots.rs` goes through all of them.
use super::{FOLD, folded_world, run};
use crate::races::session::{Isolation, Session};
use crate::races::world::{CAPTURES, Capture, assert_exact, fold_exactly};

#[tokio::test]
async fn r35_an_old_snapshot_neither_lends_an_old_key_nor_hides_usage_from_a_mover() {
    for capture in CAPTURES {
        for isolation in [Isolation::RepeatableRead, Isolation::Serializable] {
            let (db, mut conn) = folded_world(capture).await;
            let (mut writer, mut mover) = (Session::open(&db, "writer").await, Session::open(&db, "mover").await);
            writer.begin(isolation).await;
            run(&mut conn, "update agent_task_queue set runtime_id = the('runtime 2') where id = the('task 1')").await;
            run(&mut conn, FOLD).await;
            writer.finishes("update task_usage set input_tokens = input_tokens + 1 where task_id = the('task 1')").await;
            writer.commit().await;
            fold_exactly(&mut conn, "a writer older than the move").await;
            mover.begin(isolation).await;
            run(
                &mut conn,
                "insert into task_usage (task_id, provider, model, input_tokens) values (the('task 1'), 'new', 'm', 4)",
            )
            .await;
            run(&mut conn, FOLD).await;
            mover
                .finishes("update agent_task_queue set runtime_id = null, agent_id = the('agent 2') where id = the('task 1')")
                .await;
            mover.commit().await;
            fold_exactly(&mut conn, "a mover older than the usage").await;
        }
    }
}

#[tokio::test]
async fn r37_a_reader_across_a_rewritten_table_is_told_to_try_again() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    let mut reader = Session::open(&db, "reader").await;
    for table in ["task_usage", "agent_task_queue", "agent", "issue"] {
        reader.begin(Isolation::RepeatableRead).await;
        run(&mut conn, &format!("alter table {table} add column extra_{table} float default random()")).await;
        reader.fails("select count(*) from tallybook.task_usage_quarter_hour_now", "40001").await;
        reader.finishes("rollback").await;
        assert_exact(&mut conn, table).await;
    }
}

#[tokio::test]
async fn r37_a_reader_across_a_rewritten_rollup_is_told_to_try_again() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    let mut reader = Session::open(&db, "reader").await;
    reader.begin(Isolation::RepeatableRead).await;
    run(
        &mut conn,
        "select tallybook.drop_rollup('task_usage_daily');
        select tallybook.create_rollup('task_usage_daily', '1 day', array['workspace_id', 'runtime_id', 'provider', 'model'])",
    )
    .await;
    reader.fails("select count(*) from tallybook.task_usage_daily_now", "40001").await;
    reader.finishes("rollback").await;
    assert_exact(&mut conn, "a rollup was declared anew").await;
}
