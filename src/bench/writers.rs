//! Writers: at full speed, each with tasks of its own, or at a steady pace beside something else that is measured.
use super::Error;
use super::plan::INFLOW;
use super::process;
use super::server::Database;
use super::stats::float;
use sqlx::PgConnection;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// Sessions among which a steady inflow is divided.
const TRICKLE_SESSIONS: u32 = 4;
/// SQLSTATEs after which a writer tries the same again, as any client would.
const AGAIN: [&str; 2] = ["40001", "40P01"];

/// Where writers' usage goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// To all runtimes.
    Spread,
    /// To one runtime: with one model, one day, that is one bucket.
    Hot,
}

/// What writers do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) writers: usize,
    pub(super) place: Place,
    /// Rows of a statement: 1, or a batch of as many tasks.
    pub(super) rows: u64,
    /// Tasks that each writer has.
    pub(super) tasks_per_writer: u64,
}

/// What they came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub(super) events: u64,
    pub(super) took: Duration,
    /// Bytes of the write-ahead log.
    pub(super) wal: f64,
    /// Processor time of their server processes, where those are this machine's.
    pub(super) processor: Option<Duration>,
}

impl Place {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Spread => "spread over all runtimes",
            Self::Hot => "on one hot bucket",
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Spread => "spread",
            Self::Hot => "hot",
        }
    }
}

impl Written {
    pub(super) fn per_second(&self) -> f64 {
        float(self.events) / self.took.as_secs_f64()
    }

    /// Bytes of the write-ahead log for each event.
    pub(super) fn wal_per_event(&self) -> f64 {
        self.wal / float(self.events.max(1))
    }

    /// Seconds of processor time for each event.
    pub(super) fn processor_per_event(&self) -> Option<f64> {
        Some(self.processor?.as_secs_f64() / float(self.events.max(1)))
    }
}

/// Lets writers write at full speed, after a statement of each that is not counted. `turn` makes their events new.
pub(super) async fn write(
    database: &Database,
    load: Load,
    lasting: Duration,
    is_local: bool,
    turn: &str,
) -> Result<Written, Error> {
    let mut writers = Vec::new();
    let mut processes = Vec::new();
    for number in 0..load.writers {
        let mut writer = Writer { conn: database.connect().await?, load, number, done: 0, turn: format!("{turn}-{number}") };
        processes.push(sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut writer.conn).await?);
        writer.step().await?;
        writers.push(writer);
    }
    let mut observer = database.connect().await?;
    let (wal, spent) = (wal_position(&mut observer).await?, is_local.then(|| process::processor_time(&processes)).flatten());
    let began = Instant::now();
    let mut writing = JoinSet::new();
    for mut writer in writers {
        writing.spawn(async move {
            let mut events = 0;
            while began.elapsed() < lasting {
                events += writer.step().await?;
            }
            // Still connected: its server process is asked what it has taken.
            Ok::<_, sqlx::Error>((writer, events))
        });
    }
    let (mut events, mut ended) = (0, Vec::new());
    while let Some(writer) = writing.join_next().await {
        let (writer, done) = writer??;
        events += done;
        ended.push(writer);
    }
    let took = began.elapsed();
    let processor = spent.and_then(|before| Some(process::processor_time(&processes)?.saturating_sub(before)));
    let wal = wal_position(&mut observer).await? - wal;
    Ok(Written { events, took, wal, processor })
}

async fn wal_position(conn: &mut PgConnection) -> Result<f64, sqlx::Error> {
    sqlx::query_scalar("select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::double precision").fetch_one(conn).await
}

struct Writer {
    conn: PgConnection,
    load: Load,
    number: usize,
    done: u64,
    turn: String,
}

impl Writer {
    /// One statement, and how many events it stored.
    async fn step(&mut self) -> Result<u64, sqlx::Error> {
        let Load { place, rows, tasks_per_writer, .. } = self.load;
        let first = u64::try_from(self.number).unwrap_or(u64::MAX) * tasks_per_writer;
        let step = self.done;
        self.done += 1;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        loop {
            let written = if rows == 1 {
                // Every second report is a new event, the others are a task's running total.
                let key = if step.is_multiple_of(2) { String::new() } else { format!("{}-{step}", self.turn) };
                sqlx::query(include_str!("data/upsert.sql"))
                    .bind(place.kind())
                    .bind(number(first + step * 7 % tasks_per_writer))
                    .bind(key)
                    .bind(number(step + 2))
                    .execute(&mut self.conn)
                    .await
            } else {
                sqlx::query(include_str!("data/upsert_batch.sql"))
                    .bind(place.kind())
                    .bind(number(first))
                    .bind(number(rows))
                    .bind(format!("{}-{step}", self.turn))
                    .bind(number(step + 2))
                    .execute(&mut self.conn)
                    .await
            };
            match written {
                Ok(_) => return Ok(rows),
                Err(error) if is_again(&error) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn is_again(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| AGAIN.contains(&code.as_ref()))
}

/// Lets usage of a history's tasks trickle in, single rows at a steady pace, until `stop`; says how many there were.
pub(super) async fn trickle(database: &Database, tasks: u64, turn: &str, stop: &CancellationToken) -> Result<u64, Error> {
    let mut sessions = JoinSet::new();
    for session in 0..TRICKLE_SESSIONS {
        let (mut conn, stop, turn) = (database.connect().await?, stop.clone(), format!("{turn}-{session}"));
        let mut pace = interval(Duration::from_secs(1) * TRICKLE_SESSIONS / INFLOW);
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        sessions.spawn(async move {
            let mut events = 0_u64;
            while !stop.is_cancelled() {
                pace.tick().await;
                let task = (events * 7_919 + u64::from(session) * 104_729) % tasks;
                sqlx::query(include_str!("data/upsert.sql"))
                    .bind("task")
                    .bind(i64::try_from(task).unwrap_or(i64::MAX))
                    .bind(format!("{turn}-{events}"))
                    .bind(1_000_i64)
                    .execute(&mut conn)
                    .await?;
                events += 1;
            }
            Ok::<_, sqlx::Error>(events)
        });
    }
    let mut events = 0;
    while let Some(session) = sessions.join_next().await {
        events += session??;
    }
    Ok(events)
}
