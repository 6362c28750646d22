//! Entities move, go, and come again.
use super::{FOLD, assert_no_ghosts, folded_world, run, text};
use crate::races::world::{CAPTURES, Capture, assert_exact, reset};

#[tokio::test]
async fn r10_nothing_stays_billed_when_an_entity_is_deleted() {
    for capture in CAPTURES {
        let (_db, mut conn) = folded_world(capture).await;
        for what in ["agent", "workspace", "agent_runtime", "issue", "project", "agent_task_queue", "task_usage"] {
            for folded_first in [true, false] {
                reset(&mut conn).await;
                if folded_first {
                    run(&mut conn, FOLD).await;
                }
                let which = match what {
                    "agent_runtime" => "id = the('runtime 1')".to_owned(),
                    "agent_task_queue" => "id = the('task 1')".to_owned(),
                    "task_usage" => "task_id = the('task 1')".to_owned(),
                    _ => format!("id = the('{what} 1')"),
                };
                run(&mut conn, &format!("delete from {what} where {which}")).await;
                assert_no_ghosts(&mut conn, what).await;
            }
        }
        run(&mut conn, "delete from workspace").await;
        assert_no_ghosts(&mut conn, "all workspaces").await;
        assert_eq!(text(&mut conn, "select count(*) from tallybook.task_usage_quarter_hour").await, "0");
    }
}

#[tokio::test]
async fn r11_a_task_takes_its_usage_along_wherever_it_moves() {
    for capture in CAPTURES {
        let (_db, mut conn) = folded_world(capture).await;
        for to in [
            "runtime_id = the('runtime 2')",
            "runtime_id = null",
            "agent_id = the('agent 2')",
            "issue_id = null",
            "issue_id = the('issue 2')",
            "agent_id = the('agent 1'), runtime_id = the('runtime 1'), issue_id = the('issue 1')",
        ] {
            let go = format!("update agent_task_queue set {to} where id in (the('task 1'), the('task 2'))");
            for fold in ["select 1", FOLD] {
                for write in [
                    "insert into task_usage (task_id, provider, model, event_key, input_tokens) values (the('task 1'), 'claude', 'opus', gen_random_uuid()::text, 9)",
                    "update task_usage set input_tokens = input_tokens + 1 where task_id = the('task 1')",
                    "delete from task_usage where id = (select id from task_usage where task_id = the('task 1') order by id limit 1)",
                ] {
                    for step in [
                        write,
                        &go,
                        fold,
                        write,
                        "update agent_task_queue set agent_id = the('agent 2') where id = the('task 1')",
                        write,
                        &go,
                    ] {
                        run(&mut conn, step).await;
                    }
                    assert_no_ghosts(&mut conn, &go).await;
                }
            }
        }
    }
}

#[tokio::test]
async fn r12_issues_and_agents_take_their_usage_along_and_leave_other_rows_alone() {
    let (_db, mut conn) = folded_world(Capture::ByStatement).await;
    run(
        &mut conn,
        "insert into agent (id, workspace_id, name) values (the('bystander'), the('workspace 2'), 'bystander');
         insert into agent_task_queue (id, agent_id) values (the('other'), the('bystander'));
         insert into task_usage (task_id, provider, model, event_key, input_tokens) select the('other'), 'p', 'm' || n, '', n from generate_series(1, 300) n",
    )
    .await;
    run(&mut conn, FOLD).await;
    let bystanders = "select md5(string_agg(xmin::text || ctid, ' ' order by ctid)) from tallybook.task_usage_quarter_hour where agent_id = the('bystander')";
    let before = text(&mut conn, bystanders).await;
    for go in [
        "update issue set project_id = the('project 2') where id = the('issue 1')",
        "delete from project where id = the('project 2')",
        "update issue set project_id = the('project 1')",
        "update agent set workspace_id = the('workspace 2') where id = the('agent 1')",
        "update agent set workspace_id = the('workspace 1') where id = the('agent 1')",
        // and several times before a fold
        "update agent set workspace_id = the('workspace 2'); update agent set workspace_id = the('workspace 1'); update agent set workspace_id = the('workspace 2')",
        "update issue set project_id = null; update issue set project_id = the('project 1'); update issue set project_id = null",
    ] {
        for beside in [
            "select 1",
            "update agent_task_queue set issue_id = the('issue 1'), agent_id = the('agent 1') where id = the('task 2')",
            "update agent_task_queue set issue_id = null, agent_id = the('agent 2') where id = the('task 2')",
            "insert into agent_task_queue (id, agent_id, issue_id) values (the('new'), the('agent 1'), the('issue 1')) on conflict (id) do nothing;
             insert into task_usage (task_id, provider, model, event_key, input_tokens) values (the('new'), 'claude', 'opus', gen_random_uuid()::text, 2)",
        ] {
            run(&mut conn, beside).await;
            run(&mut conn, go).await;
            run(&mut conn, beside).await;
            assert_no_ghosts(&mut conn, go).await;
        }
    }
    assert_eq!(text(&mut conn, bystanders).await, before, "rows of others were written");
}

#[tokio::test]
async fn r21_an_emptied_bucket_has_no_row() {
    for capture in CAPTURES {
        let (_db, mut conn) = folded_world(capture).await;
        run(&mut conn, "delete from task_usage where model = 'sonnet'").await;
        run(&mut conn, FOLD).await;
        assert_eq!(
            text(&mut conn, "select count(*) from tallybook.task_usage_daily where bucket_date = '2026-01-03'").await,
            "0"
        );
        assert_eq!(
            text(&mut conn, "select count(*) from tallybook.task_usage_quarter_hour where bucket_start >= '2026-01-03'").await,
            "0"
        );
        assert_no_ghosts(&mut conn, "a bucket was emptied").await;
    }
}

#[tokio::test]
async fn r24_batches_are_exact_beside_moves_of_all_that_decides_a_key() {
    let (_db, mut conn) = folded_world(Capture::ByRow).await;
    for moved in [
        "update agent set workspace_id = the('workspace 2') where id = the('agent 1')",
        "update issue set project_id = the('project 2') where id = the('issue 1')",
        "update agent_task_queue set runtime_id = the('runtime 3')",
        "update agent_task_queue set agent_id = the('agent 2'), issue_id = null where id = the('task 1')",
    ] {
        run(&mut conn, "update task_usage set input_tokens = input_tokens + 1").await;
        run(&mut conn, moved).await;
        run(&mut conn, "insert into task_usage (task_id, provider, model, event_key, input_tokens) select id, 'claude', 'opus', gen_random_uuid()::text, 9 from agent_task_queue").await;
        for _ in 0..4 {
            run(&mut conn, "select tallybook.fold(1, 1)").await;
            assert_exact(&mut conn, moved).await;
        }
        assert_no_ghosts(&mut conn, moved).await;
    }
}

#[tokio::test]
async fn r38_a_row_whose_count_is_zero_in_between_keeps_its_tokens() {
    for capture in CAPTURES {
        let (_db, mut conn) = folded_world(capture).await;
        // Batches are of whole tasks, so it takes writes that were not captured to bring a count to 0: here one comes and, at last, goes.
        let insert = |key, tokens| {
            format!(
                "insert into task_usage (task_id, provider, model, event_key, input_tokens, created_at)
                 values (the('task 1'), 'p', 'alone', '{key}', {tokens}, '2026-01-01 12:00+00')"
            )
        };
        let delete = "delete from task_usage where model = 'alone' and event_key = 'other'";
        let unseen = |write: &str| format!("begin; set local session_replication_role = replica; {write}; commit");
        for write in [&insert("kept", 160), &unseen(&insert("other", 10)), delete, &insert("other", 10), &unseen(delete)] {
            run(&mut conn, write).await;
            run(&mut conn, FOLD).await;
        }
        assert_exact(&mut conn, "160 tokens are left").await;
    }
}

#[tokio::test]
async fn r42_entities_that_come_again_or_change_their_id_are_followed() {
    for capture in CAPTURES {
        let (_db, mut conn) = folded_world(capture).await;
        for tables in ["agent", "issue", "agent_task_queue"] {
            let own = if tables == "agent_task_queue" { "task" } else { tables };
            // under the same id, elsewhere, between two folds
            run(
                &mut conn,
                &format!(
                    "create temp table kept on commit preserve rows as select * from {tables} where id = the('{own} 1');
                     create temp table tasks on commit preserve rows as select * from agent_task_queue where '{own} 1' <> 'x' and id = the('task 1');
                     create temp table rows on commit preserve rows as select * from task_usage where task_id = the('task 1');
                     delete from {tables} where id = the('{own} 1');
                     insert into {tables} select * from kept;
                     insert into agent_task_queue select * from tasks on conflict do nothing;
                     insert into task_usage select * from rows;
                     drop table kept, tasks, rows"
                ),
            )
            .await;
            assert_exact(&mut conn, tables).await;
        }
        assert_no_ghosts(&mut conn, "all came again").await;
        run(
            &mut conn,
            "alter table task_usage drop constraint task_usage_task_id_fkey, add foreign key (task_id) references agent_task_queue on update cascade on delete cascade;
             alter table agent_task_queue drop constraint agent_task_queue_agent_id_fkey, add foreign key (agent_id) references agent on update cascade on delete cascade;
             alter table agent_task_queue drop constraint agent_task_queue_issue_id_fkey, add foreign key (issue_id) references issue on update cascade on delete set null",
        )
        .await;
        for step in [
            "update agent_task_queue set id = the('renamed') where id = the('task 1')",
            "update agent set id = the('renamed agent') where id = the('agent 1')",
            "update issue set id = the('renamed issue') where id = the('issue 1')",
            "delete from issue",
        ] {
            run(&mut conn, step).await;
            assert_exact(&mut conn, step).await;
        }
        assert_no_ghosts(&mut conn, "ids changed").await;
    }
}

#[tokio::test]
async fn r42_without_foreign_keys_usage_waits_for_its_task_and_agent() {
    for capture in CAPTURES {
        let (_db, mut conn) = folded_world(capture).await;
        run(
            &mut conn,
            "alter table task_usage drop constraint task_usage_task_id_fkey; alter table agent_task_queue drop constraint agent_task_queue_agent_id_fkey;
             alter table agent_task_queue drop constraint agent_task_queue_issue_id_fkey; alter table task_usage alter task_id drop not null",
        )
        .await;
        for step in [
            "insert into task_usage (task_id, provider, model, input_tokens) values (the('late task'), 'p', 'm', 1), (null, 'p', 'm', 2)",
            "insert into agent_task_queue (id, agent_id, issue_id) values (the('late task'), the('late agent'), the('late issue'))",
            "insert into agent (id, workspace_id, name) values (the('late agent'), the('workspace 1'), 'late')",
            "insert into issue (id, workspace_id, title, project_id) values (the('late issue'), the('workspace 1'), 'late', the('project 1'))",
            "delete from agent where id = the('agent 1')",
            "delete from issue where id = the('late issue')",
            "delete from agent_task_queue where id = the('task 2')",
            "insert into agent (id, workspace_id, name) values (the('agent 1'), the('workspace 2'), 'again')",
            "update task_usage set task_id = the('task 1') where task_id is null",
            "insert into agent_task_queue (id, agent_id) values (the('task 2'), the('late agent'))",
        ] {
            run(&mut conn, step).await;
            assert_no_ghosts(&mut conn, step).await;
        }
        assert_eq!(text(&mut conn, "select sum(event_count) from tallybook.task_usage_daily_now").await, "7");
    }
}
