//! How long it takes until a read shows what was committed.
use super::{forget, rows};
use crate::bench::contender::Contender;
use crate::bench::data::RUNTIME;
use crate::bench::plan::Subject;
use crate::bench::results::{Bound, Figure, Floor, Section, Table, Unit};
use crate::bench::server::Database;
use crate::bench::stats::{Summary, length};
use crate::bench::{Bench, Error};
use crate::rollup::worker;
use crate::telemetry::metrics::Metrics;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const METHOD: &str = "One session commits a row, another reads its runtime's last 30 days at once: it shows the row, or it has missed it. Tallybook's fold loop runs. \
Those that tick are not waited for: their times are the wait for the next tick, at moments spread evenly over five minutes, the usual design's lag of five minutes, and the \
tick, which is measured.";
/// How often the others tick, and how far the usual design stays behind.
const EVERY: Duration = Duration::from_mins(5);
/// Moments between two ticks.
const MOMENTS: u32 = 1_000;

/// What was seen of one contender.
struct Seen {
    missed: usize,
    looks: usize,
    times: Summary,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Section, Error> {
    let mut section = Section::new(Subject::Freshness, METHOD);
    let size = bench.plan.middle();
    let mut table = Table::new(
        format!("From the commit to the first read that shows it, beside {} rows", rows(size)),
        ["contender", "reads right after the commit", "of which missed it", "until it shows"],
    );
    for contender in Contender::ALL {
        let database = bench.server.copy(&contender.ready_on_history(&bench.server, size).await?).await?;
        let seen = if contender.ticks() && !contender.is_ours() {
            waits(contender, &database).await?
        } else {
            look(contender, &database, bench.plan.scale.looks).await?
        };
        if contender.is_ours() {
            section.fault_unless(
                seen.missed == 0,
                format!("{} reads of {} missed what was committed", seen.missed, contender.name()),
            );
            section.floors.push(Floor {
                what: format!("reads of {} that missed what was committed, of {}", contender.name(), seen.looks),
                wanted: Bound::AtMost(0.0),
                unit: Unit::Count,
                measured: length(seen.missed),
            });
        }
        let counts = [seen.looks, seen.missed].map(|count| Figure::Count(u64::try_from(count).unwrap_or(u64::MAX)));
        table.row(contender.name(), counts.into_iter().chain([Figure::Latency(seen.times)]));
        forget(bench, [database]).await?;
    }
    section.tables.push(table);
    Ok(section)
}

/// Commits, and looks at once from elsewhere.
async fn look(contender: Contender, database: &Database, looks: usize) -> Result<Seen, Error> {
    let (mut writer, mut reader) = (database.connect().await?, database.connect().await?);
    let pool = database.pool(2);
    let stop = CancellationToken::new();
    let mut folding = JoinSet::new();
    if contender.is_ours() {
        folding.spawn(worker::run(pool.clone(), stop.clone(), Arc::new(Metrics::new()), false));
    }
    let (mut times, mut missed) = (Vec::with_capacity(looks), 0);
    let mut before = events(contender, &mut reader).await?;
    for number in 0..looks {
        commit(&mut writer, number).await?;
        let began = Instant::now();
        let mut shown = events(contender, &mut reader).await?;
        if shown == before {
            missed += 1;
            shown = events(contender, &mut reader).await?;
        }
        times.push(began.elapsed());
        before = shown;
    }
    stop.cancel();
    folding.join_all().await;
    pool.close().await;
    Ok(Seen { missed, looks, times: Summary::of_times(&times) })
}

/// How long those wait who are shown at the next tick; that a read right after the commit misses is looked at once.
async fn waits(contender: Contender, database: &Database) -> Result<Seen, Error> {
    let (mut writer, mut reader) = (database.connect().await?, database.connect().await?);
    let before = events(contender, &mut reader).await?;
    commit(&mut writer, 0).await?;
    let missed = usize::from(events(contender, &mut reader).await? == before);
    let began = Instant::now();
    contender.tick(&mut writer).await?;
    let tick = began.elapsed();
    let lag = if contender == Contender::Usual { EVERY } else { Duration::ZERO };
    let times: Vec<f64> = (0..MOMENTS).map(|moment| (lag + tick + EVERY * moment / MOMENTS).as_secs_f64()).collect();
    Ok(Seen { missed, looks: 1, times: Summary::of(&times) })
}

/// One event of a task that the runtime has.
async fn commit(conn: &mut PgConnection, number: usize) -> Result<(), Error> {
    let sql = "insert into public.task_usage (task_id, provider, model, event_key, input_tokens)
        select id, 'anthropic', 'opus', 'freshness ' || $2, 1 from public.agent_task_queue where runtime_id = md5('runtime ' || $1)::uuid order by id limit 1";
    let inserted = sqlx::query(sql)
        .bind(i64::try_from(RUNTIME).unwrap_or_default())
        .bind(i64::try_from(number).unwrap_or_default())
        .execute(conn)
        .await?;
    if inserted.rows_affected() == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound.into()) }
}

/// Events of the runtime's last 30 days, as the contender shows them.
async fn events(contender: Contender, conn: &mut PgConnection) -> Result<i64, Error> {
    let AssertSqlSafe(read) = contender.read();
    let sql = read.replace("$1", &format!("md5('runtime {RUNTIME}')::uuid"));
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(conn).await?;
    Ok(rows.iter().map(|row| row.get::<i64, _>("event_count")).sum())
}
