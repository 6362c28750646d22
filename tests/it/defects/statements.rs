//! Every statement that can change a source table: captured, or refused, or found.
use super::{FOLD, assert_no_ghosts, folded_world, run, text};
use crate::races::session::{ISOLATIONS, Session, code_of};
use crate::races::world::{CAPTURES, Capture, assert_exact, fold_exactly, reset};
use sqlx::Executor;

#[tokio::test]
async fn r31_truncate_is_refused() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    let mut session = Session::open(&db, "session").await;
    for sql in [
        "truncate task_usage",
        "truncate agent_task_queue cascade",
        "truncate workspace cascade",
        "truncate issue, agent cascade",
    ] {
        assert!(session.fails(sql, "0A000").await.contains("TRUNCATE"));
    }
    assert_no_ghosts(&mut conn, "a refusal").await;
}

#[tokio::test]
async fn r31_every_way_to_write_is_captured() {
    for capture in CAPTURES {
        let (_db, mut conn) = folded_world(capture).await;
        let task = "00000000-0000-4000-8000-000000000009";
        let rows = (0..50).map(|n| format!("{task}\tcopied\tm{}\t{n}\n", n % 3)).collect::<Vec<_>>().concat();
        run(
            &mut conn,
            "insert into agent_task_queue (id, agent_id) values ('00000000-0000-4000-8000-000000000009', the('agent 1'))",
        )
        .await;
        let mut copy = conn.copy_in_raw("copy task_usage (task_id, provider, model, event_key) from stdin").await.unwrap();
        copy.send(rows.as_bytes()).await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), 50);
        assert_no_ghosts(&mut conn, "copy").await;
        for sql in [
            "merge into task_usage u using (values (the('task 1'), 'sonnet', 5), (the('task 1'), 'new', 6), (the('task 2'), 'opus', 7)) v (task_id, model, tokens)
             on u.task_id = v.task_id and u.model = v.model
             when matched and v.tokens = 7 then delete
             when matched then update set input_tokens = v.tokens, cost_usd_ticks = null
             when not matched then insert (task_id, provider, model, input_tokens) values (v.task_id, 'merged', v.model, v.tokens)",
            "merge into agent_task_queue t using agent a on t.agent_id = a.id when matched then update set runtime_id = the('runtime 3')",
            "insert into task_usage (task_id, provider, model, input_tokens) values (the('task 1'), 'claude', 'sonnet', 1), (the('task 1'), 'claude', 'fresh', 2)
             on conflict (task_id, provider, model, event_key) do update set input_tokens = excluded.input_tokens, created_at = '2026-02-02'",
            "insert into task_usage (task_id, provider, model, input_tokens) values (the('task 1'), 'claude', 'sonnet', 1) on conflict do nothing",
            "with gone as (delete from task_usage where provider = 'copied' returning *)
             insert into task_usage (task_id, provider, model, event_key, input_tokens) select the('task 3'), 'again', model, event_key, 1 from gone",
            "update task_usage u set model = t.status from agent_task_queue t where t.id = u.task_id and u.provider = 'merged'",
            "do $$ begin
               begin update task_usage set input_tokens = 77; raise exception 'no'; exception when others then null; end;
               update task_usage set output_tokens = 78;
             end $$",
            "begin; savepoint s; delete from workspace; rollback to s; update task_usage set cache_read_tokens = 1; release s; commit",
            "declare c cursor with hold for select * from task_usage; fetch c; close c",
        ] {
            run(&mut conn, sql).await;
            assert_no_ghosts(&mut conn, sql).await;
        }
    }
}

#[tokio::test]
async fn r31_what_the_replica_role_writes_is_found_and_repaired() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    run(
        &mut conn,
        "begin; set local session_replication_role = replica; update task_usage set input_tokens = input_tokens + 1; commit",
    )
    .await;
    let report = tallybook::rollup::verify::verify(&db.pool).await.unwrap();
    assert!(!report.exact());
    let repair = tallybook::rollup::repair::repair(&db.pool).await.unwrap();
    assert!(repair.after.exact());
    assert_no_ghosts(&mut conn, "a repair").await;
}

#[tokio::test]
async fn r31_a_trigger_that_is_away_is_found() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    for (sql, fault) in [
        ("alter table task_usage disable trigger tallybook_insert", "trigger tallybook_insert on public.task_usage is disabled"),
        (
            "alter table task_usage enable replica trigger tallybook_insert",
            "trigger tallybook_insert on public.task_usage is disabled",
        ),
        ("drop trigger tallybook_truncate on issue", "trigger tallybook_truncate on public.issue is missing"),
    ] {
        run(&mut conn, &format!("begin; {sql}")).await;
        assert_eq!(text(&mut conn, "select string_agg(f, '; ') from tallybook.capture_faults() f").await, fault);
        run(&mut conn, "rollback").await;
    }
    // what capture did not see must not be folded around
    run(&mut conn, "update task_usage set input_tokens = input_tokens + 1").await;
    run(&mut conn, "alter table agent disable trigger tallybook_update").await;
    for refused in [FOLD, "select tallybook.rebuild('-infinity', 'infinity')", "select tallybook.backfill_slice(1)"] {
        let error = conn.execute(refused).await.unwrap_err();
        assert_eq!(code_of(&error), "55000", "{refused}: {error}");
    }
    run(&mut conn, "alter table agent enable trigger tallybook_update").await;
    fold_exactly(&mut conn, "a trigger was away").await;
    assert_eq!(text(&mut conn, "select count(*) from tallybook.capture_faults()").await, "0");
}

#[tokio::test]
async fn r34_one_statement_that_changes_usage_and_its_key_loses_nothing() {
    for capture in CAPTURES {
        let (db, mut conn) = folded_world(capture).await;
        let mut session = Session::open(&db, "session").await;
        for isolation in ISOLATIONS {
            for sql in [
                "with m as (update agent_task_queue set runtime_id = the('runtime 2') where id = the('task 1') returning id)
                 update task_usage u set input_tokens = 1 from m where u.task_id = m.id",
                "with u as (update task_usage set input_tokens = 2 where task_id = the('task 1') returning task_id)
                 update agent_task_queue t set runtime_id = null, issue_id = null from u where t.id = u.task_id",
                "with u as (insert into task_usage (task_id, provider, model, input_tokens) values (the('task 1'), 'p', 'm', 3) returning task_id),
                   a as (update agent set workspace_id = the('workspace 2') where id = the('agent 1')),
                   i as (update issue set project_id = the('project 2') where id = the('issue 1'))
                 update agent_task_queue t set issue_id = the('issue 2') from u where t.id = u.task_id",
                "with d as (delete from task_usage where task_id = the('task 1') and model = 'opus'),
                   c as (update task_usage set provider = 'q', event_key = id::text where task_id = the('task 3'))
                 delete from agent_task_queue where id = the('task 1')",
                "with u as (update task_usage set input_tokens = 9)
                 delete from agent where id = the('agent 1')",
                "with w as (delete from workspace where id = the('workspace 2')), r as (delete from agent_runtime where id = the('runtime 1'))
                 delete from issue where id = the('issue 1')",
            ] {
                reset(&mut conn).await;
                session.begin(isolation).await;
                session.finishes(sql).await;
                assert_exact(session.conn(), sql).await;
                session.commit().await;
                assert_no_ghosts(&mut conn, sql).await;
            }
        }
    }
}
