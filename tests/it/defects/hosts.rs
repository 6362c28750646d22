//! Hosts' own triggers and foreign keys, and what they may expect of us.
use super::{FOLD, assert_no_ghosts, folded_world, run};
use crate::races::session::{ISOLATIONS, Session};
use crate::races::world::{CAPTURES, Capture, GATE_CLOSE, GATE_OPEN, assert_exact, fold_exactly, install_gate, reset};

/// Statements that set off a host's triggers.
const WRITES: [&str; 5] = [
    "insert into task_usage (task_id, provider, model, event_key, input_tokens) values (the('task 1'), 'claude', 'opus', gen_random_uuid()::text, 9)",
    "insert into task_usage (task_id, provider, model, input_tokens) values (the('task 1'), 'claude', 'opus', 5)
     on conflict (task_id, provider, model, event_key) do update set input_tokens = excluded.input_tokens",
    "update task_usage set input_tokens = input_tokens + 1 where task_id in (the('task 1'), the('task 2'))",
    "update agent_task_queue set runtime_id = the('runtime 2') where id = the('task 1')",
    "delete from task_usage where id = (select id from task_usage where task_id = the('task 1') order by input_tokens limit 1)",
];

async fn with_host_triggers(triggers: &[(&str, &str, &str)]) {
    for capture in CAPTURES {
        for (name, when, body) in triggers {
            let (_db, mut conn) = folded_world(capture).await;
            run(
                &mut conn,
                &format!("create function public.host() returns trigger language plpgsql as $host$ begin {body} end $host$"),
            )
            .await;
            // before ours and after ours in the alphabet
            for position in ["aaa", "zzz"] {
                reset(&mut conn).await;
                run(&mut conn, &format!("create trigger {position} {when} execute function public.host()")).await;
                for write in WRITES {
                    run(&mut conn, write).await;
                    assert_exact(&mut conn, &format!("{name}: {write}")).await;
                }
                assert_no_ghosts(&mut conn, name).await;
                let table = when.split_once(" on ").unwrap().1.split_once(' ').unwrap().0;
                run(&mut conn, &format!("drop trigger {position} on {table}")).await;
            }
        }
    }
}

#[tokio::test]
async fn r43_what_a_hosts_before_trigger_vetoes_or_changes_is_what_counts() {
    with_host_triggers(&[
        ("changes every column", "before insert or update on task_usage for each row",
         "new.model := 'changed'; new.event_key := new.id::text; new.input_tokens := new.input_tokens * 2; new.created_at := '2026-01-05'; return new;"),
        ("vetoes some", "before insert or update on task_usage for each row", "if new.input_tokens % 2 = 0 then return null; end if; return new;"),
        ("vetoes deletes", "before delete on task_usage for each row", "return null;"),
        ("keeps tasks where they are", "before update on agent_task_queue for each row", "new.runtime_id := old.runtime_id; return new;"),
        ("moves the task before the usage", "before insert or update on task_usage for each row",
         "update agent_task_queue set runtime_id = the('runtime 3') where id = new.task_id; return new;"),
    ])
    .await;
}

#[tokio::test]
async fn r43_what_a_hosts_after_trigger_writes_again_counts_too() {
    with_host_triggers(&[
        ("writes the same row again", "after insert on task_usage for each row",
         "update task_usage set output_tokens = output_tokens + 3, provider = provider || '!', event_key = id::text where id = new.id; return null;"),
        ("writes usage of its own", "after update on agent_task_queue for each row",
         "insert into task_usage (task_id, provider, model, event_key, input_tokens) values (new.id, 'host', 'm', gen_random_uuid()::text, 1); return null;"),
        ("deletes what was written", "after insert on task_usage for each statement",
         "delete from task_usage where input_tokens = 9; return null;"),
    ])
    .await;
}

#[tokio::test]
async fn r34_a_host_trigger_on_usage_that_moves_the_task_loses_nothing() {
    with_host_triggers(&[
        ("moves the task", "after insert or update or delete on task_usage for each row",
         "update agent_task_queue set runtime_id = the('runtime 3'), agent_id = the('agent 2') where id = coalesce(new.task_id, old.task_id); return null;"),
        ("moves the agent", "after insert or update or delete on task_usage for each statement",
         "update agent set workspace_id = case workspace_id when the('workspace 1') then the('workspace 2') else the('workspace 1') end; return null;"),
        ("deletes the task", "after delete on task_usage for each row", "delete from agent_task_queue where id = old.task_id; return null;"),
    ])
    .await;
}

#[tokio::test]
async fn r34_foreign_keys_of_every_kind_lose_nothing() {
    let usage = "alter table task_usage drop constraint task_usage_task_id_fkey";
    let task = "alter table agent_task_queue drop constraint agent_task_queue_issue_id_fkey, drop constraint agent_task_queue_runtime_id_fkey";
    for capture in CAPTURES {
        for keys in [
            format!("{usage}, add foreign key (task_id) references agent_task_queue on delete cascade deferrable initially deferred"),
            format!("{usage}, alter task_id drop not null, add foreign key (task_id) references agent_task_queue on delete set null"),
            format!("{usage}; {task}, drop constraint agent_task_queue_agent_id_fkey"),
            format!("{task}, add foreign key (issue_id) references issue on delete set null deferrable initially deferred,
                add foreign key (runtime_id) references agent_runtime on delete cascade"),
            format!("{task}, add foreign key (issue_id) references issue on delete cascade, alter runtime_id set default the('runtime 3'),
                add foreign key (runtime_id) references agent_runtime on delete set default"),
        ] {
            let (_db, mut conn) = folded_world(capture).await;
            run(&mut conn, &keys).await;
            for delete in [
                "delete from agent_runtime where id = the('runtime 1')",
                "delete from issue where id = the('issue 1')",
                "delete from workspace where id = the('workspace 2')",
                "begin; update task_usage set input_tokens = 1; delete from agent_task_queue where id = the('task 1'); update task_usage set output_tokens = 2; commit",
                "delete from workspace where id = the('workspace 1')",
            ] {
                reset(&mut conn).await;
                run(&mut conn, FOLD).await;
                // the agent, the issue and the runtime of one task are of different workspaces
                run(&mut conn, "update agent_task_queue set issue_id = the('issue 2'), runtime_id = the('runtime 1') where id = the('task 1')").await;
                run(&mut conn, delete).await;
                assert_no_ghosts(&mut conn, &format!("{keys}; {delete}")).await;
            }
        }
    }
}

#[tokio::test]
async fn r44_no_host_waits_for_maintenance() {
    let (db, mut conn) = folded_world(Capture::ByStatement).await;
    install_gate(&mut conn, "task_usage_daily").await;
    let (mut gate, mut worker, mut host) =
        (Session::open(&db, "gate").await, Session::open(&db, "worker").await, Session::open(&db, "host").await);
    for (turn, work) in [FOLD, "select tallybook.rebuild('-infinity', 'infinity')"].into_iter().enumerate() {
        run(&mut conn, "update task_usage set input_tokens = input_tokens + 1").await;
        gate.finishes(GATE_CLOSE).await;
        worker.blocks(work).await;
        for isolation in ISOLATIONS {
            host.begin(isolation).await;
            for write in WRITES {
                host.finishes(write).await;
            }
            host.finishes("update agent set workspace_id = the('workspace 2')").await;
            host.finishes("update issue set project_id = null").await;
            host.finishes("delete from project").await;
            host.commit().await;
        }
        host.finishes(&format!("create index host_{turn} on issue (title)")).await;
        host.finishes("delete from agent where id = the('agent 2')").await;
        gate.finishes(GATE_OPEN).await;
        worker.resume().await.unwrap();
        fold_exactly(&mut conn, work).await;
    }
}
