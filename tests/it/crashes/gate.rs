//! A gate in the way of some work: it waits there, what it has written not committed, and can be killed.
//!
//! A gate is an advisory lock of its keeper's session, so it opens by itself when the keeper goes or the server dies.
use super::patience::ask;
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tallybook::db::pool::PgPool;

/// Where a gate can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In the commit of reports.
    Ingest,
    /// Among the rows of an import's statement.
    Import,
    /// Among the rollup rows that a fold writes.
    Fold,
    /// Among the rollup rows that a slice of backfill writes.
    Backfill,
    /// Among the sums that are sealed.
    Sealing,
    /// Among the commands of migrations.
    Migration,
}

/// Trigger, the table that it is on, and what makes it.
const TRIGGERS: [(&str, &str, &str); 5] = [
    (
        "gate_ingest",
        "public.task_usage",
        "create constraint trigger gate_ingest after insert or update on public.task_usage
         deferrable initially deferred for each row when (new.model <> 'imported') execute function crash.at_row('ingest')",
    ),
    (
        "gate_import",
        "public.task_usage",
        "create trigger gate_import after insert on public.task_usage
         for each row when (new.model = 'imported') execute function crash.at_row('import')",
    ),
    (
        "gate_daily",
        "tallybook.task_usage_daily",
        "create trigger gate_daily before insert on tallybook.task_usage_daily for each row execute function crash.at_rollup_row()",
    ),
    (
        "gate_quarter_hour",
        "tallybook.task_usage_quarter_hour",
        "create trigger gate_quarter_hour before insert on tallybook.task_usage_quarter_hour
         for each row execute function crash.at_rollup_row()",
    ),
    (
        "gate_sealing",
        "tallybook.sealed_usage",
        "create trigger gate_sealing before insert on tallybook.sealed_usage for each row execute function crash.at_row('sealing')",
    ),
];
/// Lets everybody pass for a long time.
const FAR: i64 = 1_000_000_000_000;

/// A gate that is closed, until it is dropped.
pub(super) struct Gate {
    keeper: PgConnection,
    place: Place,
}

impl Place {
    fn name(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Import => "import",
            Self::Fold => "fold",
            Self::Backfill => "backfill",
            Self::Sealing => "sealing",
            Self::Migration => "migration",
        }
    }
}

/// Builds the gates that are missing; tables that were made anew have none.
async fn build(keeper: &mut PgConnection) {
    keeper.execute(include_str!("gates.sql")).await.unwrap();
    let missing = "select to_regclass($2) is not null
        and not exists (select from pg_trigger where tgname = $1 and tgrelid = to_regclass($2))";
    for (trigger, table, definition) in TRIGGERS {
        if sqlx::query_scalar(missing).bind(trigger).bind(table).fetch_one(&mut *keeper).await.unwrap() {
            keeper.execute(definition).await.unwrap();
        }
    }
    let listening: bool = sqlx::query_scalar("select exists (select from pg_event_trigger where evtname = 'gate_migration')")
        .fetch_one(&mut *keeper)
        .await
        .unwrap();
    if !listening {
        let definition = "create event trigger gate_migration on ddl_command_end execute function crash.at_command()";
        keeper.execute(definition).await.unwrap();
    }
}

async fn set_counter(keeper: &mut PgConnection, place: Place, value: i64) -> Result<(), sqlx::Error> {
    let set = format!("select setval('crash.{}', {value})", place.name());
    keeper.execute(AssertSqlSafe(set)).await.map(drop)
}

impl Gate {
    /// Closes the gate at `place`, after `passing` more rows or commands. `keeper` is a superuser's.
    pub(super) async fn close(mut keeper: PgConnection, place: Place, passing: i64) -> Self {
        // Its own commits are not to be held: see hold.rs.
        keeper.execute("set synchronous_commit = local").await.unwrap();
        build(&mut keeper).await;
        keeper.execute("select pg_advisory_lock(4711)").await.unwrap();
        set_counter(&mut keeper, place, -1 - passing).await.unwrap();
        Self { keeper, place }
    }

    /// Waits until somebody stands before it, and tells which process of the server's that is.
    pub(super) async fn visitor(&self, pool: &PgPool) -> i32 {
        let waiting = "select pid from pg_locks where locktype = 'advisory' and objid = 4711 and not granted limit 1";
        ask(&format!("somebody at the gate of {:?}", self.place), || sqlx::query_scalar(waiting).fetch_optional(pool)).await
    }

    /// Opens it for everybody. Where the server has died, it is open already.
    pub(super) async fn open(mut self) {
        let opened = async {
            set_counter(&mut self.keeper, self.place, -FAR).await?;
            self.keeper.execute("select pg_advisory_unlock(4711)").await
        };
        drop(opened.await);
    }
}
