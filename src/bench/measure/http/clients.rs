//! Clients that report: each knows how many of its reports were acknowledged.
use crate::bench::Error;
use crate::bench::client::{Client, refused};
use crate::bench::server::Database;
use crate::bench::service::Endpoint;
use crate::bench::stats::{Summary, float};
use hyper::body::Bytes;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use uuid::Uuid;

/// Files that a process needs beside connections.
const FILES_SPARED: u64 = 500;
/// Statuses that ask a client to come again.
const BUSY: [u16; 2] = [429, 503];

/// How many clients this process may have while it also serves them: as many files as it may open, once it has asked for all of them.
pub(super) fn possible() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 0 };
    let may = if setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok() { hard } else { soft };
    usize::try_from(may.saturating_sub(FILES_SPARED) / 2).unwrap_or(usize::MAX)
}

/// Connected clients, each with a task of its own.
pub(super) struct Clients {
    clients: Vec<Reporter>,
    turn: String,
}

/// What they came to.
pub(super) struct Reported {
    pub(super) reports: u64,
    pub(super) refused: u64,
    took: Duration,
    times: Vec<Duration>,
}

struct Reporter {
    client: Client,
    task: Uuid,
    reports: usize,
    turn: String,
    /// Reports that were acknowledged; they are numbered from 0.
    acknowledged: usize,
}

impl Reported {
    pub(super) fn per_second(&self) -> f64 {
        float(self.reports) / self.took.as_secs_f64()
    }

    pub(super) fn latency(&self) -> Summary {
        Summary::of_times(&self.times)
    }
}

/// Tasks to report for, up to so many.
pub(super) async fn tasks(database: &Database, most: usize) -> Result<Vec<Uuid>, Error> {
    let mut conn = database.connect().await?;
    let sql = "select t.id from generate_series(0, $1::bigint - 1) n join public.agent_task_queue t on t.id = md5('spread ' || n)::uuid order by n";
    Ok(sqlx::query_scalar(sql).bind(i64::try_from(most).unwrap_or(i64::MAX)).fetch_all(&mut conn).await?)
}

impl Clients {
    /// Connects so many, who send so many reports in a request; `turn` makes their events new.
    pub(super) async fn connect(
        endpoint: &Endpoint,
        database: &Database,
        number: usize,
        reports: usize,
        turn: String,
    ) -> Result<Self, Error> {
        let tasks = tasks(database, number).await?;
        let mut clients = Vec::with_capacity(tasks.len());
        for task in tasks {
            clients.push(Reporter { client: endpoint.client().await?, task, reports, turn: turn.clone(), acknowledged: 0 });
        }
        Ok(Self { clients, turn })
    }

    pub(super) fn len(&self) -> usize {
        self.clients.len()
    }

    /// Lets all of them report at once, for so long.
    pub(super) async fn report(&mut self, lasting: Duration) -> Result<Reported, Error> {
        let began = Instant::now();
        let mut reporting = JoinSet::new();
        for mut reporter in self.clients.drain(..) {
            reporting.spawn(async move {
                let (mut times, mut refused) = (Vec::new(), 0);
                while began.elapsed() < lasting {
                    let asked = Instant::now();
                    if reporter.send().await? { times.push(asked.elapsed()) } else { refused += 1 }
                }
                Ok::<_, Error>((reporter, times, refused))
            });
        }
        let mut sum = Reported { reports: 0, refused: 0, took: Duration::ZERO, times: Vec::new() };
        while let Some(ended) = reporting.join_next().await {
            let (reporter, times, refused) = ended??;
            sum.reports += u64::try_from(reporter.acknowledged).unwrap_or(u64::MAX);
            sum.refused += refused;
            sum.times.extend(times);
            self.clients.push(reporter);
        }
        sum.took = began.elapsed();
        Ok(sum)
    }

    /// How many of the reports that were acknowledged are not in the database.
    pub(super) async fn missing(&self, database: &Database) -> Result<u64, Error> {
        let (tasks, acknowledged): (Vec<Uuid>, Vec<i64>) =
            self.clients.iter().map(|client| (client.task, i64::try_from(client.acknowledged).unwrap_or(i64::MAX))).unzip();
        let mut conn = database.connect().await?;
        let missing: i64 = sqlx::query_scalar(include_str!("../missing.sql"))
            .bind(tasks)
            .bind(acknowledged)
            .bind(format!("{}-", self.turn))
            .fetch_one(&mut conn)
            .await?;
        Ok(u64::try_from(missing).unwrap_or_default())
    }
}

impl Reporter {
    /// One request; whether it was acknowledged, or refused as busy.
    async fn send(&mut self) -> Result<bool, Error> {
        let reports: Vec<Value> = (self.acknowledged..self.acknowledged + self.reports)
            .map(|number| {
                json!({
                    "task_id": self.task, "provider": "anthropic", "model": "opus", "event_key": format!("{}-{number}", self.turn),
                    "input_tokens": 1_000, "output_tokens": 100, "cache_read_tokens": 10, "cache_write_tokens": 5
                })
            })
            .collect();
        let body = serde_json::to_vec(&json!({ "reports": reports }))?;
        let answer = self.client.post("/v1/usage", Bytes::from(body)).await?;
        match answer.status {
            200 | 201 => self.acknowledged += self.reports,
            busy if BUSY.contains(&busy) => return Ok(false),
            _ => return Err(refused("/v1/usage", &answer)),
        }
        Ok(true)
    }
}
