//! What reports do to a real database.
mod adopted;
mod groups;
mod kills;
mod outages;
mod outcomes;
mod places;
mod races;
mod sealed;

use super::{Counts, Ingest, Limits, Outcome, Reference, Report, TaskPlace};
use crate::access::{Access, Scope};
use crate::clock::Clock;
use crate::db::pool::PgPool;
use crate::model::{Count, EventKey, Model, Name, OccurredAt, Provider};
use crate::testing::{TestDatabase, database};
use tokio_util::task::TaskTracker;
use uuid::Uuid;

const NOW: &str = "2026-03-01T12:00:00Z";

/// A database with one workspace, and an ingest on it whose clock stands at [`NOW`].
struct Bench {
    database: TestDatabase,
    ingest: Ingest,
    tracker: TaskTracker,
    clock: Clock,
    /// Bound to `workspace`.
    caller: Access,
    workspace: Uuid,
}

impl Bench {
    async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    async fn with(limits: Limits) -> Self {
        let database = database().await;
        let workspace = new_workspace(&database.pool).await;
        let clock = Clock::fixed(NOW.parse().unwrap());
        let tracker = TaskTracker::new();
        let ingest = Ingest::start(database.pool.clone(), clock.clone(), &tracker, limits);
        Self { database, ingest, tracker, clock, caller: bound_to(Some(workspace)), workspace }
    }

    fn pool(&self) -> &PgPool {
        &self.database.pool
    }

    async fn submit(&self, reports: Vec<Report>) -> Result<Vec<Outcome>, super::Error> {
        self.ingest.submit(&self.caller, reports).await
    }

    /// Submits one report that must be accepted.
    async fn put(&self, report: Report) -> Outcome {
        self.submit(vec![report]).await.unwrap()[0]
    }

    /// A task of an agent `agent` on a runtime `runtime`.
    async fn task(&self) -> Uuid {
        let id = Uuid::new_v4();
        self.put(Report { event_key: EventKey::parse("seed").unwrap(), ..report(id, 0).at_agent("agent").at_runtime("runtime") })
            .await;
        sqlx::query("delete from public.task_usage where task_id = $1").bind(id).execute(self.pool()).await.unwrap();
        id
    }

    async fn text(&self, query: &'static str) -> Option<String> {
        sqlx::query_scalar(query).fetch_one(self.pool()).await.unwrap()
    }

    async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.pool()).await.unwrap()
    }
}

fn bound_to(workspace: Option<Uuid>) -> Access {
    Access { token_id: Uuid::nil(), workspace, scopes: vec![Scope::Ingest] }
}

async fn new_workspace(pool: &PgPool) -> Uuid {
    let id = Uuid::new_v4();
    let query = sqlx::query("insert into public.workspace (id, name, slug) values ($1, $2, $2)").bind(id).bind(id.to_string());
    query.execute(pool).await.unwrap();
    id
}

/// A running total of `input` tokens.
fn report(task_id: Uuid, input: i64) -> Report {
    Report {
        task_id,
        provider: Provider::parse("anthropic").unwrap(),
        model: Model::parse("opus").unwrap(),
        event_key: EventKey::default(),
        counts: Counts { input: Count::try_from(input).unwrap(), ..Counts::default() },
        cost: None,
        occurred_at: None,
        sequence: None,
        task: None,
    }
}

impl Report {
    fn keyed(mut self, key: &str) -> Self {
        self.event_key = EventKey::parse(key).unwrap();
        self
    }

    fn numbered(mut self, sequence: i64) -> Self {
        self.sequence = Some(sequence);
        self
    }

    fn at(mut self, time: &str) -> Self {
        self.occurred_at = Some(OccurredAt::parse(time, NOW.parse().unwrap()).unwrap());
        self
    }

    fn placed(mut self, place: impl FnOnce(&mut TaskPlace)) -> Self {
        place(self.task.get_or_insert_default());
        self
    }

    fn at_agent(self, name: &str) -> Self {
        self.placed(|task| task.agent = Some(named(name)))
    }

    fn at_runtime(self, name: &str) -> Self {
        self.placed(|task| task.runtime = Some(named(name)))
    }

    fn at_issue(self, title: &str) -> Self {
        self.placed(|task| task.issue = Some(named(title)))
    }
}

fn named(name: &str) -> Reference {
    Reference::Name(Name::parse(name).unwrap())
}
