//! What it costs to bring a rollup up to date: against history, and against how much is fresh.
use super::{compare, forget, rows};
use crate::bench::contender::Contender;
use crate::bench::plan::{SLOW_ROWS_MAX, Subject};
use crate::bench::results::{Bound, Figure, Line, Plot, Section, Table, Unit};
use crate::bench::server::Database;
use crate::bench::stats::float;
use crate::bench::{Bench, Error, Turns, order};
use std::time::Instant;

const METHOD: &str = "Fresh rows are of new tasks, two rows each, on runtimes as busy as in the history. Tallybook's tick folds into both rollups. The usual design's \
is called as if its five minutes had passed. Sizes and contenders take turns.";
const CONTENDERS: [Contender; 3] = [Contender::Tallybook, Contender::Usual, Contender::Matview];

/// A contender on a history of one size.
struct Place {
    contender: Contender,
    size: u64,
    database: Database,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Section, Error> {
    let mut section = Section::new(Subject::Ticks, METHOD);
    let mut places = Vec::new();
    for size in bench.plan.sizes.iter().copied() {
        for contender in CONTENDERS {
            if contender == Contender::Matview && size > SLOW_ROWS_MAX {
                section.left_out.push(format!("the materialized view at {} rows: it is made anew each time", rows(size)));
                continue;
            }
            bench.step(&format!("  {} beside {} rows", contender.name(), rows(size)));
            let ready = contender.ready_on_history(&bench.server, size).await?;
            places.push(Place { contender, size, database: bench.server.copy(&ready).await? });
        }
    }
    let mut by_fresh = Vec::new();
    for fresh in bench.plan.scale.fresh_rows.iter().copied() {
        bench.step(&format!("  ticks that find {} rows", rows(fresh)));
        by_fresh.push((fresh, in_turns(bench, &places, fresh).await?));
    }
    present(&mut section, bench, &places, &by_fresh);
    if let Some((fresh, turns)) = by_fresh.first() {
        floors(&mut section, bench, &places, *fresh, turns);
    }
    let smallest = bench.plan.smallest();
    let compared: Vec<_> =
        places.iter().filter(|place| place.size == smallest).map(|place| (place.contender, place.database.clone())).collect();
    compare(&compared, &mut section).await?;
    forget(bench, places.into_iter().map(|place| place.database)).await?;
    Ok(section)
}

async fn in_turns(bench: &Bench<'_>, places: &[Place], fresh: u64) -> Result<Turns, Error> {
    let mut times = Turns::of(places.len());
    let rounds = if fresh == bench.plan.scale.fresh_rows[0] { bench.plan.scale.careful_rounds } else { bench.plan.scale.rounds };
    for round in 0..=rounds {
        for index in order(round, places.len()) {
            let place = &places[index];
            // What takes seconds or minutes needs fewer turns to be told from what takes milliseconds.
            if !place.contender.is_ours() && place.size > SLOW_ROWS_MAX / 2 && round > 2 {
                continue;
            }
            let seconds = tick(place, fresh, &format!("fresh {fresh} {round}")).await?;
            if round > 0 {
                times.add(index, seconds);
            }
        }
    }
    Ok(times)
}

/// Writes fresh rows, and gives the seconds that the tick takes which finds them.
async fn tick(place: &Place, fresh: u64, turn: &str) -> Result<f64, Error> {
    let mut conn = place.database.connect().await?;
    sqlx::query(include_str!("../data/fresh.sql"))
        .bind(i64::try_from(fresh / 2).unwrap_or(1))
        .bind(turn)
        .execute(&mut conn)
        .await?;
    let began = Instant::now();
    place.contender.tick(&mut conn).await?;
    Ok(began.elapsed().as_secs_f64())
}

fn present(section: &mut Section, bench: &Bench<'_>, places: &[Place], by_fresh: &[(u64, Turns)]) {
    for (fresh, turns) in by_fresh {
        let columns: Vec<String> = bench.plan.sizes.iter().map(|size| format!("{} rows", rows(*size))).collect();
        let caption = format!("A tick that finds {} rows, beside a history of", rows(*fresh));
        let mut table = Table::new(caption, ["contender"].into_iter().chain(columns.iter().map(String::as_str)));
        for contender in CONTENDERS {
            let figures = bench.plan.sizes.iter().map(|size| match find(places, contender, *size) {
                Some(index) => turns.cell(index, Unit::Seconds, find(places, Contender::Tallybook, *size)),
                None => Figure::Text("left out".to_owned()),
            });
            table.row(contender.name(), figures);
        }
        section.tables.push(table);
    }
    let Some((fresh, turns)) = by_fresh.first() else { return };
    let lines = CONTENDERS.map(|contender| Line {
        name: contender.name().to_owned(),
        points: places
            .iter()
            .enumerate()
            .filter(|(_, place)| place.contender == contender)
            .map(|(index, place)| (float(place.size), turns.summary(index).median))
            .collect(),
    });
    section.plots.push(Plot {
        name: "ticks".to_owned(),
        caption: format!("A tick that finds {} rows", rows(*fresh)),
        x: ("rows of history".to_owned(), Unit::Count),
        y: ("a tick".to_owned(), Unit::Seconds),
        lines: lines.to_vec(),
    });
}

fn find(places: &[Place], contender: Contender, size: u64) -> Option<usize> {
    places.iter().position(|place| place.contender == contender && place.size == size)
}

fn floors(section: &mut Section, bench: &Bench<'_>, places: &[Place], fresh: u64, turns: &Turns) {
    let median = |contender, size| find(places, contender, size).map(|index| turns.summary(index).median);
    let (smallest, largest) = (bench.plan.smallest(), bench.plan.largest());
    if let (Some(small), Some(large)) = (median(Contender::Tallybook, smallest), median(Contender::Tallybook, largest)) {
        let what = format!("folding {} rows beside {} rows, against {}", rows(fresh), rows(largest), rows(smallest));
        section.floor(what, Bound::AtMost(1.5), large / small);
    }
    let size = bench.plan.judged();
    if let (Some(ours), Some(usual)) = (median(Contender::Tallybook, size), median(Contender::Usual, size)) {
        let what = format!("the usual design's tick for {} rows at {} rows, against a fold", rows(fresh), rows(size));
        section.floor(what, Bound::AtLeast(300.0), usual / ours);
    }
}
