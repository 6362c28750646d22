//! Upserts: how many a second, what they add to the write-ahead log, and what they take of the processor.
use super::{compare, forget, rows};
use crate::bench::contender::{Contender, drain};
use crate::bench::plan::Subject;
use crate::bench::results::{Bound, Figure, Line, Plot, Section, Table, Unit};
use crate::bench::server::Database;
use crate::bench::stats::length;
use crate::bench::writers::{self, Load, Place, Written};
use crate::bench::{Bench, Error, Turns, data, order};
use crate::db::pool::PgPool;
use crate::rollup::worker;
use crate::telemetry::metrics::Metrics;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const METHOD: &str = "Each writer has a session and tasks of its own; every second report replaces a task's running total, the others are new events. \
A batch is one statement of as many tasks. Folding is paused, unless the name says that the loop runs. The table has its primary key, the unique \
identity, and indexes on task and time. Processor time is that of the writers' server processes.";

/// Writers of the comparisons that are held to a floor, or the most there are.
const WRITERS: usize = 8;
/// By place and size of statement.
const CASES: [(Place, bool); 4] = [(Place::Spread, false), (Place::Spread, true), (Place::Hot, false), (Place::Hot, true)];

/// A contender, and whether what is pending is folded meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entrant {
    contender: Contender,
    folds: bool,
}

const ENTRANTS: [Entrant; 7] = [
    Entrant { contender: Contender::Raw, folds: false },
    Entrant { contender: Contender::Usual, folds: false },
    Entrant { contender: Contender::Counters, folds: false },
    Entrant { contender: Contender::Adopted, folds: false },
    Entrant { contender: Contender::Tallybook, folds: false },
    Entrant { contender: Contender::Adopted, folds: true },
    Entrant { contender: Contender::Tallybook, folds: true },
];
const RAW: usize = 0;
const COUNTERS: usize = 2;
const BY_ROW: usize = 3;
const BY_STATEMENT: usize = 4;

impl Entrant {
    fn name(self) -> String {
        let form = match self.contender {
            Contender::Raw => return "no rollup".to_owned(),
            Contender::Adopted => ", by row",
            Contender::Tallybook => ", by statement",
            _ => "",
        };
        let loop_ = if self.folds { ", the loop running" } else { "" };
        format!("{}{form}{loop_}", self.contender.name().trim_end_matches(", adopted"))
    }
}

/// What all entrants came to in one case.
struct Case {
    place: Place,
    is_batch: bool,
    writers: usize,
    rate: Turns,
    wal: Turns,
    processor: Option<Turns>,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Section, Error> {
    let mut section = Section::new(Subject::Writes, METHOD);
    let size = bench.plan.middle();
    let per_writer = bench.plan.scale.batch_rows;
    let tasks = u64::try_from(bench.plan.writers_max()).unwrap_or(1) * per_writer;
    let arena = data::arena(&bench.server, size, tasks).await?;
    let mut databases = Vec::new();
    for entrant in ENTRANTS {
        let ready = entrant.contender.ready(&bench.server, &arena, "writes").await?;
        databases.push(bench.server.copy(&ready).await?);
    }
    let mut cases = Vec::new();
    for (place, is_batch) in CASES {
        for writers in bench.plan.scale.writers.iter().copied() {
            let rows = if is_batch { per_writer } else { 1 };
            let load = Load { writers, place, rows, tasks_per_writer: per_writer };
            cases.push(case(bench, &databases, load).await?);
        }
    }
    section.left_out.push(format!("other sizes of history than {}: writes do not depend on it", rows(size)));
    present(&mut section, bench, &cases);
    floors(&mut section, &cases);
    for (entrant, database) in ENTRANTS.iter().zip(&databases) {
        if entrant.contender.is_ours() {
            drain(database).await?;
        }
    }
    let compared: Vec<_> = ENTRANTS.iter().map(|entrant| entrant.contender).zip(databases.clone()).collect();
    compare(&compared[..=BY_STATEMENT], &mut section).await?;
    forget(bench, databases).await?;
    Ok(section)
}

/// One load, all entrants in turns.
async fn case(bench: &Bench<'_>, databases: &[Database], load: Load) -> Result<Case, Error> {
    let scale = &bench.plan.scale;
    let rounds = if load.writers == WRITERS { scale.careful_rounds } else { scale.rounds };
    let statements = if load.rows == 1 { "single rows" } else { "batches" };
    bench.step(&format!("  {statements} {}, {} writers", load.place.name(), load.writers));
    let is_local = bench.server.is_local();
    let (mut rate, mut wal, mut processor) = (Turns::of(ENTRANTS.len()), Turns::of(ENTRANTS.len()), Turns::of(ENTRANTS.len()));
    let mut has_processor = true;
    for round in 0..=rounds {
        for entrant in order(round, ENTRANTS.len()) {
            // The first round warms up.
            let lasting = if round == 0 { scale.lasting / 5 } else { scale.lasting };
            let turn = format!("{:?}{}{}{round}", load.place, load.rows, load.writers);
            let written = turn_of(ENTRANTS[entrant], &databases[entrant], load, (lasting, is_local, &turn)).await?;
            if round > 0 {
                rate.add(entrant, written.per_second());
                wal.add(entrant, written.wal_per_event());
                match written.processor_per_event() {
                    Some(seconds) => processor.add(entrant, seconds),
                    None => has_processor = false,
                }
            }
        }
    }
    let processor = has_processor.then_some(processor);
    Ok(Case { place: load.place, is_batch: load.rows > 1, writers: load.writers, rate, wal, processor })
}

async fn turn_of(
    entrant: Entrant,
    database: &Database,
    load: Load,
    (lasting, is_local, turn): (std::time::Duration, bool, &str),
) -> Result<Written, Error> {
    if !entrant.folds {
        return writers::write(database, load, lasting, is_local, turn).await;
    }
    let pool = database.pool(2);
    let stop = CancellationToken::new();
    let mut folding = JoinSet::new();
    folding.spawn(fold(pool.clone(), stop.clone()));
    let written = writers::write(database, load, lasting, is_local, turn).await;
    stop.cancel();
    folding.join_all().await;
    pool.close().await;
    written
}

async fn fold(pool: PgPool, stop: CancellationToken) {
    worker::run(pool, stop, Arc::new(Metrics::new()), false).await;
}

fn present(section: &mut Section, bench: &Bench<'_>, cases: &[Case]) {
    for (place, is_batch) in CASES {
        let these: Vec<&Case> = cases.iter().filter(|case| (case.place, case.is_batch) == (place, is_batch)).collect();
        let statements =
            if is_batch { format!("Batches of {} rows", rows(bench.plan.scale.batch_rows)) } else { "Single rows".to_owned() };
        let caption = format!("{statements} {}: events a second, and how many times those without a rollup", place.name());
        let columns: Vec<String> = these.iter().map(|case| format!("{} writers", case.writers)).collect();
        let mut table = Table::new(caption.clone(), ["contender"].into_iter().chain(columns.iter().map(String::as_str)));
        let mut lines = Vec::new();
        for (index, entrant) in ENTRANTS.iter().enumerate() {
            table.row(entrant.name(), these.iter().map(|case| case.rate.cell(index, Unit::PerSecond, Some(RAW))));
            let points = these.iter().map(|case| (length(case.writers), case.rate.summary(index).median)).collect();
            lines.push(Line { name: entrant.name(), points });
        }
        section.tables.push(table);
        if !is_batch {
            let name = format!("writes-{}", if place == Place::Hot { "hot" } else { "spread" });
            let caption = format!("{statements} {}", place.name());
            section.plots.push(Plot {
                name,
                caption,
                x: ("writers".to_owned(), Unit::Count),
                y: ("events a second".to_owned(), Unit::PerSecond),
                lines,
            });
        }
    }
    if let (Some(single), Some(batch)) = (chosen(cases, false, Place::Spread), chosen(cases, true, Place::Spread)) {
        section.tables.push(costs(single, batch));
        if single.processor.is_none() {
            section.left_out.push("processor time: the server is not on this machine".to_owned());
        }
    }
}

/// The case of eight writers, or of the most there are.
fn chosen(cases: &[Case], is_batch: bool, place: Place) -> Option<&Case> {
    let mut these = cases.iter().filter(|case| case.is_batch == is_batch && case.place == place);
    these.clone().find(|case| case.writers == WRITERS).or_else(|| these.next_back())
}

/// What an event costs.
fn costs(single: &Case, batch: &Case) -> Table {
    let caption = format!("What an event costs, spread over all runtimes, {} writers", single.writers);
    let columns = ["contender", "log, single rows", "log, batches", "processor, single rows", "processor, batches"];
    let mut table = Table::new(caption, columns);
    for (index, entrant) in ENTRANTS.iter().enumerate() {
        let log = [single, batch].map(|case| case.wal.cell(index, Unit::Bytes, Some(RAW)));
        let processor = [single, batch].map(|case| match &case.processor {
            Some(turns) => turns.cell(index, Unit::Seconds, Some(RAW)),
            None => Figure::Text("not measured".to_owned()),
        });
        table.row(entrant.name(), log.into_iter().chain(processor));
    }
    table
}

fn floors(section: &mut Section, cases: &[Case]) {
    let (Some(single), Some(batch), Some(hot)) =
        (chosen(cases, false, Place::Spread), chosen(cases, true, Place::Spread), chosen(cases, false, Place::Hot))
    else {
        return;
    };
    let writers = single.writers;
    for (folding, offset) in [("paused", 0), ("running", 2)] {
        let what = format!("speed kept by single-row upserts of {writers} writers, captured by row, folding {folding}");
        // The loop has no floor of its own: what it takes is said.
        let wanted = Bound::AtLeast(if offset == 0 { 0.8 } else { 0.0 });
        section.floor(what, wanted, single.rate.ratio(BY_ROW + offset, RAW).median);
        let what = format!("speed kept by batches of {writers} writers, captured by statement, folding {folding}");
        let wanted = Bound::AtLeast(if offset == 0 { 0.75 } else { 0.0 });
        section.floor(what, wanted, batch.rate.ratio(BY_STATEMENT + offset, RAW).median);
    }
    let log = single.wal.ratio(BY_ROW, RAW).median;
    section.floor("log of a single-row upsert, captured by row", Bound::AtMost(1.5), log);
    let log = batch.wal.ratio(BY_STATEMENT, RAW).median;
    section.floor("log of an event in a batch, captured by statement", Bound::AtMost(1.5), log);
    let against = hot.rate.ratio(BY_ROW, COUNTERS).median;
    section.floor(
        format!("single rows of {writers} writers on one hot bucket, against synchronous counters"),
        Bound::AtLeast(3.0),
        against,
    );
}
