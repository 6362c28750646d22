//! What exactness costs and what it saves, as ratios within one run: `make bench`.
//!
//! Contenders work on the same data, interleaved, in several rounds; medians are compared. Absolute times depend on the machine,
//! and on its PostgreSQL: `make bench` uses a throwaway one that does not wait for the disk, which shows upkeep at its dearest.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::float_arithmetic,
    reason = "a bench prints, and stops where it cannot go on"
)]

mod data;
mod read;
mod upkeep;
mod write;

use std::time::{Duration, Instant};

/// Rounds of each comparison.
const ROUNDS: usize = 7;
/// Raw rows of history, unless `TALLYBOOK_BENCH_ROWS` says otherwise.
const ROWS: i64 = 2_000_000;

#[tokio::main]
async fn main() {
    let rows: i64 = std::env::var("TALLYBOOK_BENCH_ROWS").map_or(ROWS, |rows| rows.parse().unwrap());
    write::run().await;
    let small = data::history(rows / 10).await;
    let large = data::history(rows).await;
    upkeep::backfill(&small, rows / 10).await;
    upkeep::backfill(&large, rows).await;
    upkeep::fold(&small, &large).await;
    read::run(&large).await;
}

/// The times of two contenders that take turns.
async fn in_turns(mut ours: impl AsyncFnMut(), mut other: impl AsyncFnMut()) -> (Duration, Duration) {
    let (mut our_times, mut other_times) = (Vec::new(), Vec::new());
    ours().await;
    other().await;
    for _ in 0..ROUNDS {
        our_times.push(timed(&mut ours).await);
        other_times.push(timed(&mut other).await);
    }
    (median(our_times), median(other_times))
}

async fn timed(work: &mut impl AsyncFnMut()) -> Duration {
    let began = Instant::now();
    work().await;
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Prints how many times as long `numerator` took as `denominator`.
fn report(what: &str, (numerator, denominator): (Duration, Duration), wanted: &str) {
    let ratio = numerator.as_secs_f64() / denominator.as_secs_f64();
    println!("{what}: {ratio:.2} ({numerator:.2?} to {denominator:.2?}; wanted: {wanted})");
}
