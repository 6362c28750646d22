//! What is asked of the database: how much by whom, and how long connections were waited for.
//!
//! The driver tells of every statement and of every connection taken from a pool, as events; [`Listener`] hears them,
//! whatever is logged. Statements are counted for whoever asks within [`counted`]; the wait for connections is
//! this process's, since the listener is.
use super::metrics::durations;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Where the driver tells of statements.
const STATEMENTS: &str = "sqlx::query";
/// Where it tells of connections taken from a pool.
const CONNECTIONS: &str = "sqlx::pool::acquire";

static ACQUIRE_DURATION_SECONDS: LazyLock<Histogram> = LazyLock::new(durations);

tokio::task_local! {
    static COST: Arc<Cost>;
}

/// What somebody has asked of the database so far.
#[derive(Debug, Default)]
pub struct Cost {
    queries: AtomicU64,
    rows: AtomicU64,
    duration_us: AtomicU64,
}

impl Cost {
    /// Statements.
    pub fn queries(&self) -> u64 {
        self.queries.load(Ordering::Relaxed)
    }

    /// Rows that they gave or changed.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// How long they took together, in microseconds.
    pub fn duration_us(&self) -> u64 {
        self.duration_us.load(Ordering::Relaxed)
    }

    fn add(&self, statement: &Told) {
        self.queries.fetch_add(1, Ordering::Relaxed);
        // What a query gives counts as affected as well.
        self.rows.fetch_add(statement.rows_returned.max(statement.rows_affected), Ordering::Relaxed);
        let duration_us = u64::try_from(statement.duration.as_micros()).unwrap_or(u64::MAX);
        self.duration_us.fetch_add(duration_us, Ordering::Relaxed);
    }
}

/// Does `work`, and adds what it asks of the database, in this task, to `cost`.
pub async fn counted<T>(cost: Arc<Cost>, work: impl Future<Output = T>) -> T {
    COST.scope(cost, work).await
}

/// Adds the wait for connections to the metrics of this process.
pub(super) fn register(registry: &mut Registry) {
    registry.register_with_unit(
        "pool_acquire_duration",
        "How long somebody waited for a database connection",
        Unit::Seconds,
        ACQUIRE_DURATION_SECONDS.clone(),
    );
}

/// Hears what the driver tells.
#[derive(Clone, Copy, Debug)]
pub struct Listener;

impl Listener {
    /// The listener, to whom nothing else is told.
    pub fn layer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
        Self.with_filter(Targets::new().with_targets([(STATEMENTS, Level::TRACE), (CONNECTIONS, Level::TRACE)]))
    }
}

impl<S: Subscriber> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let told = || {
            let mut told = Told::default();
            event.record(&mut told);
            told
        };
        if event.metadata().target() == CONNECTIONS {
            ACQUIRE_DURATION_SECONDS.observe(told().duration.as_secs_f64());
        } else {
            // Nobody counts what is asked outside of a request.
            let _outside = COST.try_with(|cost| cost.add(&told()));
        }
    }
}

/// What an event says.
#[derive(Default)]
struct Told {
    rows_returned: u64,
    rows_affected: u64,
    duration: Duration,
}

impl Visit for Told {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "rows_returned" => self.rows_returned = value,
            "rows_affected" => self.rows_affected = value,
            _ => {}
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if matches!(field.name(), "elapsed_secs" | "acquired_after_secs") {
            self.duration = Duration::try_from_secs_f64(value).unwrap_or_default();
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::pool;
    use crate::testing;
    use prometheus_client::encoding::text::encode;
    use sqlx::Executor;
    use tracing_subscriber::layer::SubscriberExt;

    fn acquired() -> u64 {
        let mut registry = Registry::default();
        register(&mut registry);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let line = text.lines().find(|line| line.starts_with("pool_acquire_duration_seconds_count ")).unwrap();
        line.rsplit_once(' ').unwrap().1.parse().unwrap()
    }

    #[tokio::test]
    async fn statements_are_counted_for_who_asks_and_waits_for_all() {
        let database = testing::database().await;
        let _heard = tracing::subscriber::set_default(tracing_subscriber::registry().with(Listener::layer()));
        let pool = pool::lazy(database.options(), None, 2);
        // The first contact finds out whether a pooler is in between.
        sqlx::query("select 1").execute(&pool).await.unwrap();
        let before = acquired();
        let cost = Arc::new(Cost::default());
        counted(Arc::clone(&cost), async {
            sqlx::query("select generate_series(1, 5)").fetch_all(&pool).await.unwrap();
            pool.execute("create temporary table t (n) as values (1), (2)").await.unwrap();
        })
        .await;
        sqlx::query("select 1").execute(&pool).await.unwrap();
        assert_eq!((cost.queries(), cost.rows()), (2, 7));
        assert!(cost.duration_us() > 0);
        assert!(acquired() >= before + 3);
    }
}
