//! Ticks that are cancelled, fail, come too late, come never, or come where they must not.
use super::{FOLD, folded_world, run, text};
use crate::races::session::{ISOLATIONS, Isolation, Session, code_of};
use crate::races::world::{Capture, GATE_CLOSE, GATE_OPEN, assert_exact, empty_database, fold_exactly, install_gate, redeclare};

const CORRECT: &str = "update task_usage set input_tokens = input_tokens + 1";

#[tokio::test]
async fn r25_a_cancelled_tick_leaves_no_lock_and_one_that_came_second_says_so() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    install_gate(&mut conn, "task_usage_daily").await;
    run(&mut conn, CORRECT).await;
    let (mut gate, mut worker) = (Session::open(&db, "gate").await, Session::open(&db, "the worker").await);
    gate.finishes(GATE_CLOSE).await;
    worker.blocks(FOLD).await;
    assert_eq!(text(&mut conn, FOLD).await, "0");
    let holder = text(&mut conn, "select tallybook.fold_lock_holder()").await;
    assert_eq!(holder, format!("backend {} (the worker)", worker.pid()));
    sqlx::query("select pg_cancel_backend($1)").bind(worker.pid()).execute(&mut conn).await.unwrap();
    assert_eq!(code_of(&worker.resume().await.unwrap_err()), "57014");
    let held = format!("select count(*) from pg_locks where pid = {} and locktype = 'advisory'", worker.pid());
    assert_eq!(text(&mut conn, &held).await, "0");
    assert_eq!(text(&mut conn, "select tallybook.fold_lock_holder()").await, "nobody any more");
    gate.finishes(GATE_OPEN).await;
    // in the very session that was cancelled
    worker.finishes(FOLD).await;
    assert_eq!(text(&mut conn, "select tallybook.is_pending()").await, "false");
    assert_exact(&mut conn, "a cancelled tick").await;
}

#[tokio::test]
async fn r26_a_failing_tick_is_seen_and_the_lag_is_that_of_the_data() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    let lag = "select tallybook.task_usage_rollup_lag_seconds() * 1e6";
    assert_eq!(text(&mut conn, lag).await, "0");
    run(&mut conn, CORRECT).await;
    run(&mut conn, "alter table agent disable trigger tallybook_update").await;
    let error = sqlx::query(FOLD).execute(&mut conn).await.unwrap_err();
    assert_eq!(code_of(&error), "55000");
    assert!(error.to_string().contains("trigger tallybook_update on public.agent is disabled"), "{error}");
    sqlx::query("select tallybook.record_fold_error($1)").bind(error.to_string()).execute(&mut conn).await.unwrap();
    let state = "select last_error is not null and watermark_at < now() from tallybook.task_usage_rollup_state";
    assert_eq!(text(&mut conn, state).await, "true");
    let earlier: f64 = text(&mut conn, lag).await.parse().unwrap();
    let later: f64 = text(&mut conn, lag).await.parse().unwrap();
    assert!(0.0 < earlier && earlier < later, "{earlier} {later}");
    run(&mut conn, "alter table agent enable trigger tallybook_update").await;
    fold_exactly(&mut conn, "the trigger came back").await;
    assert_eq!(text(&mut conn, "select last_error is null from tallybook.task_usage_rollup_state").await, "true");
    assert_eq!(text(&mut conn, lag).await, "0");
}

#[tokio::test]
async fn r28_changes_that_waited_for_eight_days_are_not_lost() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    run(&mut conn, "update agent_task_queue set runtime_id = null; update agent set workspace_id = the('workspace 1')").await;
    run(&mut conn, CORRECT).await;
    for queue in ["usage", "task", "agent", "issue"] {
        run(&mut conn, &format!("update tallybook.{queue}_change set captured_at = captured_at - interval '8 days'")).await;
    }
    let lag: f64 = text(&mut conn, "select tallybook.task_usage_rollup_lag_seconds()").await.parse().unwrap();
    assert!(lag > 8.0 * 86_400.0, "{lag}");
    fold_exactly(&mut conn, "eight days without a tick").await;
}

#[tokio::test]
async fn r29_the_first_report_is_there_although_nothing_was_ever_scheduled() {
    let db = empty_database(Capture::ByStatement).await;
    let mut conn = db.connect().await;
    run(&mut conn, include_str!("../races/world.sql")).await;
    assert_eq!(text(&mut conn, "select sum(input_tokens) from tallybook.task_usage_daily_now").await, "310");
    assert_eq!(text(&mut conn, "select count(*) from tallybook.task_usage_daily").await, "0");
    assert_eq!(text(&mut conn, "select bool_and(covered_from = '-infinity') from tallybook.rollup").await, "true");
    assert_exact(&mut conn, "the first report").await;
}

#[tokio::test]
async fn r36_rebuilding_one_rollup_takes_nothing_from_another() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    run(&mut conn, "update agent_task_queue set runtime_id = the('runtime 3')").await;
    run(&mut conn, CORRECT).await;
    run(&mut conn, "select tallybook.rebuild_days('2026-01-01', '2026-01-03', array['task_usage_daily'])").await;
    assert_exact(&mut conn, "one rollup was rebuilt").await;
    run(&mut conn, "select tallybook.create_rollup('by_project', '30 minutes', array['project_id', 'agent_id'])").await;
    let drift = "select string_agg(r.name || ' ' || v.drifted_keys, ', ' order by r.name) from tallybook.rollup r, tallybook.verify(r.name, '-infinity', 'infinity', 5) v";
    let none = "by_project 0, task_usage_daily 0, task_usage_quarter_hour 0";
    for step in [
        FOLD,
        CORRECT,
        "select tallybook.backfill_slice(1)",
        CORRECT,
        "select tallybook.backfill_slice(1000)",
        FOLD,
        "select tallybook.settle_views()",
    ] {
        run(&mut conn, step).await;
        assert_eq!(text(&mut conn, drift).await, none, "after {step}");
    }
    run(&mut conn, "select tallybook.drop_rollup('by_project')").await;
    fold_exactly(&mut conn, "a rollup was dropped").await;
}

#[tokio::test]
async fn r36_without_any_rollup_ticks_go_on() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    run(&mut conn, "select tallybook.drop_rollup(name) from tallybook.rollup").await;
    run(&mut conn, CORRECT).await;
    run(&mut conn, FOLD).await;
    run(&mut conn, "select tallybook.rebuild('-infinity', 'infinity')").await;
    run(&mut conn, "select tallybook.create_rollup('task_usage_daily', '1 day', array['workspace_id', 'runtime_id', 'provider', 'model']);
        select tallybook.create_rollup('task_usage_quarter_hour', '15 minutes', array['workspace_id', 'runtime_id', 'agent_id', 'project_id', 'provider', 'model'])").await;
    fold_exactly(&mut conn, "both came again").await;
}

#[tokio::test]
async fn r39_rollups_are_written_from_transactions_of_their_own_alone() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    let mut session = Session::open(&db, "session").await;
    run(&mut conn, CORRECT).await;
    for work in [FOLD, "select tallybook.backfill_slice(5)", "select tallybook.rebuild('-infinity', 'infinity')"] {
        session.finishes("begin").await;
        session.finishes(CORRECT).await;
        let message = session.fails(work, "25001").await;
        assert!(message.contains("has written something else"), "{message}");
        session.finishes("rollback").await;
        for isolation in &ISOLATIONS[1..] {
            session.begin(*isolation).await;
            assert!(session.fails(work, "25001").await.contains("isolation level"));
            session.finishes("rollback").await;
        }
        run(&mut conn, &format!("create or replace function public.host() returns trigger language plpgsql as $$ begin perform * from ({work}) x; return null; end $$")).await;
        run(&mut conn, "create or replace trigger host after update on workspace for each row execute function public.host()")
            .await;
        assert!(session.fails("update workspace set name = name", "25001").await.contains("trigger"));
        run(&mut conn, "drop trigger host on workspace").await;
    }
    // in the statement that writes: refused, or exact
    for sql in [
        "insert into task_usage (task_id, provider, model, event_key, input_tokens)
         select the('task 1'), 'claude', 'opus', gen_random_uuid()::text, tallybook.fold(25, 50000) from generate_series(1, 3)",
        "with written as (update task_usage set input_tokens = 3 returning 1) select tallybook.fold(25, 50000), (select count(*) from written)",
        "with written as (update task_usage set input_tokens = 4 returning 1) select (select count(*) from written), tallybook.fold(25, 50000)",
        "update task_usage set output_tokens = tallybook.fold(25, 50000)",
    ] {
        let _: crate::races::session::Step = session.step(sql).await;
        assert_exact(&mut conn, sql).await;
    }
    fold_exactly(&mut conn, "misplaced ticks").await;
}

#[tokio::test]
async fn r39_a_table_that_is_being_rewritten_is_waited_for() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    let (mut host, mut worker, mut reader) =
        (Session::open(&db, "host").await, Session::open(&db, "worker").await, Session::open(&db, "reader").await);
    for (table, rewrite) in [
        ("task_usage", "alter table task_usage alter input_tokens type numeric"),
        ("agent_task_queue", "alter table agent_task_queue alter status type varchar(40)"),
        ("agent", "cluster agent using agent_pkey"),
        ("issue", "alter table issue alter created_at type timestamptz(3)"),
    ] {
        for work in [FOLD, "select tallybook.rebuild('-infinity', 'infinity')"] {
            run(&mut conn, CORRECT).await;
            reader.begin(Isolation::RepeatableRead).await;
            host.finishes("begin").await;
            host.finishes(&format!("lock table {table} in access exclusive mode")).await;
            worker.blocks(work).await;
            host.finishes(rewrite).await;
            host.commit().await;
            worker.resume().await.unwrap();
            fold_exactly(&mut conn, rewrite).await;
            // a snapshot older than the rewrite sees an empty table where there is a full rollup
            let file = text(&mut conn, &format!("select pg_relation_filenode('{table}')")).await;
            let seen = text(reader.conn(), &format!("select relfilenode from pg_class where oid = '{table}'::regclass")).await;
            if file != seen {
                reader.fails("select count(*) from tallybook.task_usage_daily_now", "40001").await;
            }
            reader.finishes("rollback").await;
        }
    }
}

#[tokio::test]
async fn r39_who_holds_the_fold_lock_in_a_prepared_transaction_is_named() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    let mut worker = Session::open(&db, "worker").await;
    run(&mut conn, CORRECT).await;
    worker.finishes("begin").await;
    worker.finishes(FOLD).await;
    let name = text(&mut conn, "select current_database()").await;
    worker.finishes(&format!("prepare transaction '{name}'")).await;
    run(&mut conn, CORRECT).await;
    assert_eq!(text(&mut conn, FOLD).await, "0");
    assert_eq!(text(&mut conn, "select tallybook.fold_lock_holder()").await, format!("prepared transaction '{name}'"));
    assert_exact(&mut conn, "a prepared fold").await;
    run(&mut conn, &format!("commit prepared '{name}'")).await;
    fold_exactly(&mut conn, "its commit").await;
}

#[tokio::test]
async fn r41_days_emptied_before_they_were_covered_leave_nothing_and_ghost_days_are_healed() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    run(&mut conn, "update task_usage set created_at = '2025-12-01' where task_id = the('task 2')").await;
    run(&mut conn, FOLD).await;
    redeclare(&mut conn).await;
    // the first days of January; December stays uncovered
    run(&mut conn, "select tallybook.backfill_slice(1)").await;
    run(&mut conn, "delete from task_usage where created_at < '2026-01-03'").await;
    assert_exact(&mut conn, "uncovered days were emptied").await;
    run(&mut conn, FOLD).await;
    assert_exact(&mut conn, "that was folded").await;
    run(&mut conn, "select tallybook.backfill_slice(1000); select tallybook.settle_views()").await;
    fold_exactly(&mut conn, "they were covered").await;
    assert_eq!(text(&mut conn, "select count(*) from tallybook.task_usage_daily where bucket_date < '2026-01-03'").await, "0");
    // a row on a day of which there is no raw row
    run(&mut conn, "insert into tallybook.task_usage_daily select (jsonb_populate_record(d, '{\"bucket_date\": \"2025-06-01\"}')).* from tallybook.task_usage_daily d limit 1").await;
    assert_eq!(
        text(&mut conn, "select drifted_keys from tallybook.verify('task_usage_daily', '-infinity', 'infinity', 5)").await,
        "1"
    );
    let report = tallybook::rollup::repair::repair(&db.pool).await.unwrap();
    assert_eq!(report.days.len(), 1);
    assert!(report.after.exact());
    fold_exactly(&mut conn, "a ghost day").await;
}

#[tokio::test]
async fn r41_a_window_heals_the_days_of_what_was_reported_in_it() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    // reported now, of a day in January; and a rollup that is wrong there
    run(&mut conn, "update task_usage set updated_at = now()").await;
    run(&mut conn, FOLD).await;
    run(&mut conn, "update tallybook.task_usage_daily set input_tokens = input_tokens + 1").await;
    run(&mut conn, "select tallybook.rollup_task_usage_daily_window(now() - interval '1 hour', now() + interval '1 hour')").await;
    assert_exact(&mut conn, "a window").await;
}
