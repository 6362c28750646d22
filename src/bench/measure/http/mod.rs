//! Ingest over HTTP, end to end: many clients, single reports and batches, with reports committed together and one by one.
mod clients;

use super::{compare, forget, rows};
use crate::bench::contender::Contender;
use crate::bench::plan::{BATCH_REPORTS, Subject};
use crate::bench::process;
use crate::bench::results::{Bound, Figure, Floor, Section, Table, Unit};
use crate::bench::server::Database;
use crate::bench::service::{Api, CONNECTIONS, Process};
use crate::bench::stats::{Summary, float};
use crate::bench::{Bench, Error, data};
use crate::ingest::Limits;
use crate::query::Reading;
use clients::{Clients, Reported};
use std::time::Instant;
use tokio::task::JoinSet;

const METHOD: &str = "Clients on this machine, each with one connection that stays open and one request under way. Reports are new events of tasks that are there. \
With commit grouping off each request is a transaction of its own, on so many connections at once. The database alone stores the same rows by `unnest`, a thousand a statement, on as many \
connections as there are groups at once. After each turn every acknowledged report is looked for.";
/// Connections of the server whose grouping is off: the best of these counts.
const POOLS_WITHOUT: [u32; 3] = [8, 16, 32];
/// Clients of what is held to a floor, or the most there are.
const CLIENTS: usize = 512;
/// Rows of a statement of the database alone.
const ROWS: usize = 1_000;
/// What the service may take of memory with the most clients.
const MEMORY_MAX: f64 = 512.0 * 1024.0 * 1024.0;

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Section, Error> {
    let mut section = Section::new(Subject::Http, METHOD);
    let database = database(bench).await?;
    let all = bench.plan.scale.clients;
    let possible = clients::possible();
    let numbers: Vec<usize> = all.iter().copied().filter(|clients| *clients <= possible).collect();
    for left in all.iter().filter(|clients| **clients > possible) {
        section.left_out.push(format!("{left} clients: a process here may open no more than {possible} connections both ways"));
    }
    let judged = numbers.iter().copied().find(|clients| *clients == CLIENTS).or(numbers.last().copied()).unwrap_or(1);
    let mut table = Table::new(
        "Reports a second, and how long an answer takes",
        ["server", "clients", "reports of a request", "reports a second", "until the answer", "refused as busy"],
    );
    let mut runs = Runs { bench, database: &database, section: &mut section, table: &mut table, missing: 0 };
    let (mut single, mut batches) = (None, None);
    for clients in numbers.iter().copied() {
        for reports in [1, BATCH_REPORTS] {
            let reported = runs.grouped(clients, reports).await?;
            if clients == judged {
                if reports == 1 { single = Some(reported) } else { batches = Some(reported) }
            }
        }
    }
    let mut without = Vec::new();
    for connections in POOLS_WITHOUT {
        without.push(runs.one_by_one(judged, connections).await?);
    }
    let memory = runs.memory(numbers.last().copied().unwrap_or(1)).await?;
    let missing = runs.missing;
    let sessions = Limits::default().groups_at_once_max;
    let alone = alone(bench, &database, sessions).await?;
    table.row(
        "the database alone",
        [
            Figure::Text(format!("{sessions} connections")),
            Figure::Text(format!("{ROWS} rows a statement")),
            Figure::Value { unit: Unit::PerSecond, value: alone },
        ],
    );
    section.tables.push(table);
    if let (Some(single), Some(batches)) = (single, batches) {
        floors(&mut section, judged, [&single, &batches], &without, alone);
    }
    let what = "acknowledged reports that are not there".to_owned();
    section.floors.push(Floor { what, wanted: Bound::AtMost(0.0), unit: Unit::Count, measured: float(missing) });
    if let Some(bytes) = memory {
        let what = "most memory that `tallybook serve` has had with the most clients".to_owned();
        section.floors.push(Floor { what, wanted: Bound::AtMost(MEMORY_MAX), unit: Unit::Bytes, measured: float(bytes) });
    }
    compare(&[(Contender::Tallybook, database.clone())], &mut section).await?;
    forget(bench, [database]).await?;
    Ok(section)
}

/// A history with tasks to report for.
async fn database(bench: &Bench<'_>) -> Result<Database, Error> {
    let tasks = u64::try_from(bench.plan.writers_max()).unwrap_or(1) * bench.plan.scale.batch_rows;
    let arena = data::arena(&bench.server, bench.plan.middle(), tasks).await?;
    let ready = Contender::Tallybook.ready(&bench.server, &arena, "writes").await?;
    Ok(bench.server.copy(&ready).await?)
}

/// Turns of clients, all on one database, and what they came to.
struct Runs<'a, 'b> {
    bench: &'a Bench<'b>,
    database: &'a Database,
    section: &'a mut Section,
    table: &'a mut Table,
    /// Reports that were acknowledged and are not there.
    missing: u64,
}

impl Runs<'_, '_> {
    async fn grouped(&mut self, clients: usize, reports: usize) -> Result<Reported, Error> {
        self.turn("as served", clients, reports, Limits::default(), CONNECTIONS).await
    }

    async fn one_by_one(&mut self, clients: usize, connections: u32) -> Result<Reported, Error> {
        let groups = usize::try_from(connections).unwrap_or(usize::MAX);
        let limits = Limits { group_reports_max: 1, groups_at_once_max: groups, ..Limits::default() };
        self.turn(&format!("grouping off, {connections} connections"), clients, 1, limits, connections).await
    }

    async fn turn(
        &mut self,
        server: &str,
        clients: usize,
        reports: usize,
        limits: Limits,
        connections: u32,
    ) -> Result<Reported, Error> {
        self.bench.step(&format!("  {clients} clients, {reports} reports a request, {server}"));
        let mut api = Api::start(self.database, Reading::Rollups, limits, connections).await?;
        api.fold();
        let turn = format!("{clients}-{reports}-{server}");
        let mut clients = Clients::connect(&api.endpoint, self.database, clients, reports, turn).await?;
        let reported = clients.report(self.bench.plan.scale.reporting).await?;
        self.judge(&clients, &reported).await?;
        let figures = [
            Figure::Count(u64::try_from(clients.len()).unwrap_or(u64::MAX)),
            Figure::Count(u64::try_from(reports).unwrap_or(u64::MAX)),
            Figure::Value { unit: Unit::PerSecond, value: reported.per_second() },
            Figure::Latency(reported.latency()),
            Figure::Count(reported.refused),
        ];
        self.table.row(server, figures);
        drop(clients);
        api.stop().await?;
        Ok(reported)
    }

    /// The most memory that the product has in a process of its own, with so many clients.
    async fn memory(&mut self, clients: usize) -> Result<Option<u64>, Error> {
        self.bench.step(&format!("  {clients} clients of a service in a process of its own"));
        let service = Process::start(self.database).await?;
        let mut clients = Clients::connect(&service.endpoint, self.database, clients, 1, "memory".to_owned()).await?;
        let reported = clients.report(self.bench.plan.scale.reporting).await?;
        self.judge(&clients, &reported).await?;
        let memory = service.id().and_then(process::peak_memory);
        drop(clients);
        service.stop().await?;
        Ok(memory)
    }

    /// Looks for every report that was acknowledged.
    async fn judge(&mut self, clients: &Clients, reported: &Reported) -> Result<(), Error> {
        let missing = clients.missing(self.database).await?;
        self.missing += missing;
        self.section.fault_unless(missing == 0, format!("{missing} reports were acknowledged and are not there"));
        self.section.fault_unless(reported.reports > 0, "no report was acknowledged");
        Ok(())
    }
}

/// Rows a second that the database takes by itself, in so many sessions.
async fn alone(bench: &Bench<'_>, database: &Database, sessions: usize) -> Result<f64, Error> {
    bench.step("  the database alone");
    let lasting = bench.plan.scale.reporting;
    let tasks = clients::tasks(database, ROWS).await?;
    let began = Instant::now();
    let mut storing = JoinSet::new();
    for session in 0..sessions {
        let (mut conn, tasks) = (database.connect().await?, tasks.clone());
        storing.spawn(async move {
            let (mut rows, mut number) = (0_u64, 0_u64);
            while began.elapsed() < lasting {
                let keys: Vec<String> = (0..ROWS).map(|row| format!("alone {session} {number} {row}")).collect();
                let tokens: Vec<i64> = vec![1_000; ROWS];
                let tasks: Vec<_> = tasks.iter().copied().cycle().take(ROWS).collect();
                let stored = sqlx::query(include_str!("../../data/unnest.sql"))
                    .bind(tasks)
                    .bind(keys)
                    .bind(tokens)
                    .execute(&mut conn)
                    .await?;
                rows += stored.rows_affected();
                number += 1;
            }
            Ok::<_, sqlx::Error>(rows)
        });
    }
    let mut rows = 0;
    while let Some(session) = storing.join_next().await {
        rows += session??;
    }
    Ok(float(rows) / began.elapsed().as_secs_f64())
}

fn floors(section: &mut Section, clients: usize, [single, batches]: [&Reported; 2], without: &[Reported], alone: f64) {
    let best = without.iter().map(Reported::per_second).fold(0.0, f64::max);
    let what = format!("single reports of {clients} clients, against grouping off (the best of {} pools)", without.len());
    section.floor(what, Bound::AtLeast(5.0), single.per_second() / best);
    let Summary { median, p99, .. } = single.latency();
    section.floor(
        format!("the 99th percentile of answers to {clients} clients, against the median"),
        Bound::AtMost(10.0),
        p99 / median,
    );
    let what = format!(
        "batches of {} reports of {clients} clients, against the database alone",
        rows(BATCH_REPORTS.try_into().unwrap_or(0))
    );
    section.floor(what, Bound::AtLeast(0.6), batches.per_second() / alone);
}
