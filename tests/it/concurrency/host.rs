//! Hosts with triggers, foreign keys and rules of their own.
use crate::races::world::{self, Capture};
use sqlx::{AssertSqlSafe, Executor};
use tallybook::testing::TestDatabase;

/// What a host adds to the source tables, or takes away from them.
pub(super) const HOSTS: [(&str, &str); 7] = [
    ("plain", ""),
    ("triggers that change rows before they are written",
     "create function host() returns trigger language plpgsql as $$ begin
        if new.input_tokens % 7 = 0 then return null; end if;
        new.model := new.model || '*'; new.created_at := new.created_at + interval '16 minutes'; return new;
      end $$;
      create trigger aaa before insert on task_usage for each row execute function host()"),
    ("triggers that write afterwards",
     "create function host() returns trigger language plpgsql as $$ begin
        update task_usage set output_tokens = output_tokens + 3 where id = new.id and output_tokens < 100;
        update agent_task_queue set runtime_id = null where id = new.task_id and new.input_tokens % 5 = 0; return null;
      end $$;
      create trigger zzz after insert or update of input_tokens on task_usage for each row execute function host();
      create function moved() returns trigger language plpgsql as $$ begin
        delete from task_usage where task_id = new.id and input_tokens % 3 = 0; return null;
      end $$;
      create trigger aaa after update of agent_id on agent_task_queue for each row execute function moved()"),
    ("foreign keys that are checked late, and set null",
     "alter table task_usage drop constraint task_usage_task_id_fkey, alter task_id drop not null,
        add foreign key (task_id) references agent_task_queue on delete set null deferrable initially deferred;
      alter table agent_task_queue drop constraint agent_task_queue_issue_id_fkey, add foreign key (issue_id) references issue on delete set null deferrable initially deferred"),
    ("foreign keys that follow a new id",
     "alter table task_usage drop constraint task_usage_task_id_fkey, add foreign key (task_id) references agent_task_queue on update cascade on delete cascade;
      alter table agent_task_queue drop constraint agent_task_queue_issue_id_fkey, drop constraint agent_task_queue_agent_id_fkey,
        add foreign key (issue_id) references issue on update cascade on delete cascade, add foreign key (agent_id) references agent on update cascade on delete cascade"),
    ("no foreign keys at all",
     "alter table task_usage drop constraint task_usage_task_id_fkey;
      alter table agent_task_queue drop constraint agent_task_queue_issue_id_fkey, drop constraint agent_task_queue_agent_id_fkey, drop constraint agent_task_queue_runtime_id_fkey"),
    ("a rule",
     "create rule host as on delete to issue do also update agent_task_queue set runtime_id = null where issue_id = old.id;
      create rule host as on delete to agent do also delete from task_usage where input_tokens % 2 = 0 and task_id in (select id from agent_task_queue where agent_id = old.id)"),
];

/// A database of such a host.
pub(super) async fn database(host: &str, capture: Capture) -> TestDatabase {
    let db = world::empty_database(capture).await;
    db.pool
        .execute(
            "create function one(kind text, n bigint) returns uuid language sql immutable
             return md5(kind || n % case kind when 'task' then 8 when 'workspace' then 2 else 3 end)::uuid",
        )
        .await
        .unwrap();
    db.pool.execute(AssertSqlSafe(host.to_owned())).await.unwrap();
    db.pool.execute(include_str!("world.sql")).await.unwrap();
    db
}
