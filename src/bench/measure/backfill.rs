//! Summing a history that is there already.
use super::{compare, forget, rows};
use crate::bench::contender::{BACKFILL_OF_USUAL, Contender, cover};
use crate::bench::data::{self, DECLARE_QUARTER_HOUR, UNCOVER_DAILY};
use crate::bench::plan::{SLOW_ROWS_MAX, Subject};
use crate::bench::results::{Bound, Figure, Section, Table, Unit};
use crate::bench::server::Database;
use crate::bench::stats::float;
use crate::bench::{Bench, Error, Turns, order};
use std::time::Instant;

const METHOD: &str = "From nothing to all history. The usual design walks through the months, once; the others take turns. The bare GROUP BY makes \
the daily rollup's sums of the same joined rows and throws them away.";
/// Turns of all but the usual design's.
const TURNS: usize = 2;

/// What takes turns.
#[derive(Clone, Copy)]
enum Way {
    Daily,
    Both,
    GroupBy,
}

const WAYS: [(Way, &str); 3] = [
    (Way::Daily, "Tallybook, the daily rollup"),
    (Way::Both, "Tallybook, both rollups"),
    (Way::GroupBy, "one bare GROUP BY by day, no parallel workers"),
];

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Section, Error> {
    let mut section = Section::new(Subject::Backfill, METHOD);
    let mut table =
        Table::new("Seconds, and rows a second", ["contender", "rows of history", "took", "rows a second", "of one GROUP BY"]);
    for size in bench.plan.sizes.iter().copied() {
        bench.step(&format!("  backfill of {} rows", rows(size)));
        let history = data::history(&bench.server, size).await?;
        let database = bench.server.copy(&history).await?;
        let mut times = Turns::of(WAYS.len());
        for turn in 0..TURNS {
            for index in order(turn, WAYS.len()) {
                times.add(index, run(WAYS[index].0, &database).await?);
            }
        }
        let usual = if size <= SLOW_ROWS_MAX { Some(usual(bench, &history).await?) } else { None };
        let group_by = times.summary(2).median;
        for (index, (_, name)) in WAYS.iter().enumerate() {
            table.row(*name, figures(size, times.cell(index, Unit::Seconds, None), times.summary(index).median, group_by));
        }
        match usual {
            Some(seconds) => {
                let took = Figure::Value { unit: Unit::Seconds, value: seconds };
                table.row(Contender::Usual.name(), figures(size, took, seconds, group_by));
            }
            None => section.left_out.push(format!(
                "the usual design's backfill of {} rows: it takes longer than all the rest of the run",
                rows(size)
            )),
        }
        if size == bench.plan.judged() {
            floors(&mut section, size, &times, usual);
            cover(&database).await?;
            compare(&[(Contender::Tallybook, database.clone())], &mut section).await?;
        }
        forget(bench, [database]).await?;
    }
    section.tables.insert(0, table);
    Ok(section)
}

fn figures(size: u64, took: Figure, seconds: f64, group_by: f64) -> [Figure; 4] {
    [
        Figure::Text(rows(size)),
        took,
        Figure::Value { unit: Unit::PerSecond, value: float(size) / seconds },
        Figure::Value { unit: Unit::Times, value: seconds / group_by },
    ]
}

/// Seconds from nothing to all history.
async fn run(way: Way, database: &Database) -> Result<f64, Error> {
    match way {
        Way::Daily => database.run(UNCOVER_DAILY).await?,
        Way::Both => {
            database.run(UNCOVER_DAILY).await?;
            database.run(DECLARE_QUARTER_HOUR).await?;
        }
        Way::GroupBy => {}
    }
    let began = Instant::now();
    match way {
        Way::Daily | Way::Both => cover(database).await?,
        Way::GroupBy => database.run(include_str!("group_daily.sql")).await?,
    }
    Ok(began.elapsed().as_secs_f64())
}

async fn usual(bench: &Bench<'_>, history: &Database) -> Result<f64, Error> {
    let database = bench.server.copy(history).await?;
    Contender::Usual.install(&database).await?;
    database.run("vacuum (analyze)").await?;
    let began = Instant::now();
    database.run(BACKFILL_OF_USUAL).await?;
    let took = began.elapsed().as_secs_f64();
    forget(bench, [database]).await?;
    Ok(took)
}

fn floors(section: &mut Section, size: u64, times: &Turns, usual: Option<f64>) {
    let [daily, both, group_by] = [0, 1, 2].map(|index| times.summary(index).median);
    let of = format!("of {} rows", rows(size));
    section.floor(format!("backfill of the daily rollup {of}, against one bare GROUP BY"), Bound::AtMost(1.5), daily / group_by);
    if let Some(usual) = usual {
        section.floor(
            format!("the usual design's backfill {of}, against ours of the daily rollup"),
            Bound::AtLeast(30.0),
            usual / daily,
        );
        section.floor(
            format!("the usual design's backfill {of}, against ours of all rollups"),
            Bound::AtLeast(7.0),
            usual / both,
        );
    }
}
