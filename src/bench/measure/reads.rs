//! Reads as whole HTTP answers: against the bare rollup, against raw, with history, with what is pending, and while usage comes in.
use super::{compare, forget, rows};
use crate::bench::client::Client;
use crate::bench::contender::{Contender, drain, hold_folds};
use crate::bench::data::{self, RUNTIME};
use crate::bench::plan::{INFLOW, Subject};
use crate::bench::results::{Bound, Figure, Floor, Line, Plot, Section, Table, Unit};
use crate::bench::server::Database;
use crate::bench::service::Api;
use crate::bench::stats::{Summary, float};
use crate::bench::writers;
use crate::bench::{Bench, Error};
use crate::query::Reading;
use sqlx::Connection;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

const METHOD: &str = "Each request is a whole answer of the product's HTTP server over one connection that stays open: as served, from views of the same name that \
show the bare rollups (which are wrong as soon as anything is pending), and from raw rows (`USAGE_DAILY_ROLLUP_ENABLED=false`). The three take turns. All ask for 30 days; the runtime has a \
hundredth of the rows. What is pending is usage of this moment, of tasks all over the history; folding is held off while it is read.";

/// Turns in which the requests are asked.
const TURNS: usize = 4;
/// Fewest rows of history beside which a million change rows are made pending.
const MANY: u64 = 1_000_000;
/// The bare rollups under the names of their now-views.
const BARE: &str = "create or replace view tallybook.task_usage_daily_now as select * from tallybook.task_usage_daily;
create or replace view tallybook.task_usage_quarter_hour_now as select * from tallybook.task_usage_quarter_hour";

/// A request, and whether rollups answer it.
struct Question {
    name: &'static str,
    path: String,
    of_rollups: bool,
}

/// How long the same question took of each.
struct Times {
    now: Summary,
    bare: Summary,
    raw: Summary,
}

/// One size: the services over its history.
struct Readers {
    size: u64,
    database: Database,
    bare_database: Database,
    apis: [Api; 3],
    clients: [Client; 3],
    questions: Vec<Question>,
}

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Section, Error> {
    let mut section = Section::new(Subject::Reads, METHOD);
    let mut by_size = Vec::new();
    for size in bench.plan.sizes.iter().copied() {
        let mut readers = Readers::start(bench, size).await?;
        by_size.push((size, nothing_pending(bench, &mut section, &mut readers).await?));
        pending(bench, &mut section, &mut readers).await?;
        if size == bench.plan.judged() {
            while_usage_comes_in(bench, &mut section, &mut readers).await?;
        }
        readers.end(bench, &mut section).await?;
    }
    history(&mut section, &by_size);
    Ok(section)
}

impl Readers {
    async fn start(bench: &Bench<'_>, size: u64) -> Result<Self, Error> {
        bench.step(&format!("  services over {} rows", rows(size)));
        let ready = Contender::Tallybook.ready_on_history(&bench.server, size).await?;
        let (database, bare_database) = (bench.server.copy(&ready).await?, bench.server.copy(&ready).await?);
        bare_database.run(BARE).await?;
        let now = Api::reading(&database, Reading::Rollups).await?;
        let bare = Api::reading(&bare_database, Reading::Rollups).await?;
        let raw = Api::reading(&database, Reading::Raw).await?;
        let clients = [now.endpoint.client().await?, bare.endpoint.client().await?, raw.endpoint.client().await?];
        let questions = questions(&database).await?;
        Ok(Self { size, database, bare_database, apis: [now, bare, raw], clients, questions })
    }

    /// Asks one question of each, in turns.
    async fn ask(&mut self, bench: &Bench<'_>, question: usize) -> Result<Times, Error> {
        let path = &self.questions[question].path;
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for turn in 0..=TURNS {
            for (client, times) in self.clients.iter_mut().zip(&mut times) {
                let asked = repeat(client, path, bench.plan.scale.requests / TURNS, bench.plan.scale.asking / 4).await?;
                // The first turn warms up.
                if turn > 0 {
                    times.extend(asked);
                }
            }
        }
        let [now, bare, raw] = times.map(|times| Summary::of_times(&times));
        Ok(Times { now, bare, raw })
    }

    async fn end(self, bench: &Bench<'_>, section: &mut Section) -> Result<(), Error> {
        drop(self.clients);
        for api in self.apis {
            api.stop().await?;
        }
        if self.size == bench.plan.judged() {
            compare(&[(Contender::Tallybook, self.database.clone())], section).await?;
        }
        forget(bench, [self.database, self.bare_database]).await
    }
}

/// The same request again and again, at least once, for no longer than `most`.
async fn repeat(client: &mut Client, path: &str, requests: usize, most: Duration) -> Result<Vec<Duration>, Error> {
    let began = Instant::now();
    let mut times = Vec::with_capacity(requests);
    while times.is_empty() || (times.len() < requests && began.elapsed() < most) {
        let asked = Instant::now();
        client.get(path).await?;
        times.push(asked.elapsed());
    }
    Ok(times)
}

/// Every question there is.
async fn questions(database: &Database) -> Result<Vec<Question>, Error> {
    let mut conn = database.connect().await?;
    let (runtime, workspace, issue, task): (String, String, String, String) = sqlx::query_as(
        "select t.runtime_id::text, a.workspace_id::text, t.issue_id::text, t.id::text
         from public.agent_task_queue t join public.agent a on a.id = t.agent_id
         where t.runtime_id = md5('runtime ' || $1)::uuid and t.issue_id is not null order by t.created_at desc limit 1",
    )
    .bind(i64::try_from(RUNTIME).unwrap_or_default())
    .fetch_one(&mut conn)
    .await?;
    let question = |name, path: String, of_rollups| Question { name, path, of_rollups };
    Ok(vec![
        question("runtime by day", format!("/v1/runtimes/{runtime}/usage?days=30"), true),
        question("runtime by agent", format!("/v1/runtimes/{runtime}/usage/by-agent?days=30"), true),
        question("runtime by hour", format!("/v1/runtimes/{runtime}/usage/by-hour?days=30"), true),
        question("workspace by day", format!("/v1/workspaces/{workspace}/usage?days=30"), true),
        question("issue", format!("/v1/issues/{issue}/usage"), false),
        question("task", format!("/v1/tasks/{task}/usage"), false),
    ])
}

async fn nothing_pending(bench: &Bench<'_>, section: &mut Section, readers: &mut Readers) -> Result<Summary, Error> {
    let caption = format!("Beside {} rows, nothing pending", rows(readers.size));
    let mut table = Table::new(
        caption,
        ["question", "as served", "from the bare rollup", "from raw", "served, against bare", "raw, against served"],
    );
    let (mut first, mut worst) = (None, 0.0_f64);
    for index in 0..readers.questions.len() {
        let times = readers.ask(bench, index).await?;
        let to_bare = times.now.median / times.bare.median;
        let figures = [
            Figure::Latency(times.now),
            Figure::Latency(times.bare),
            Figure::Latency(times.raw),
            ratio(to_bare),
            ratio(times.raw.median / times.now.median),
        ];
        table.row(readers.questions[index].name, figures);
        if readers.questions[index].of_rollups {
            worst = worst.max(to_bare);
        }
        first.get_or_insert(times.now);
    }
    section.tables.push(table);
    let what = format!("the slowest answer against one of the bare rollup, of four, beside {} rows", rows(readers.size));
    section.floor(what, Bound::AtMost(1.3), worst);
    Ok(first.unwrap_or(Summary::of(&[])))
}

fn ratio(value: f64) -> Figure {
    Figure::Value { unit: Unit::Times, value }
}

async fn pending(bench: &Bench<'_>, section: &mut Section, readers: &mut Readers) -> Result<(), Error> {
    let caption = format!("Beside {} rows, with change rows pending", rows(readers.size));
    let mut table = Table::new(caption, ["question", "as served", "from raw", "raw, against served"]);
    for level in bench.plan.scale.pending.iter().copied() {
        if level >= MANY && readers.size < MANY {
            section.left_out.push(format!("{} pending rows beside {} rows", rows(level), rows(readers.size)));
            continue;
        }
        bench.step(&format!("  with {} rows pending", rows(level)));
        let holder = hold_folds(&readers.database).await?;
        let mut conn = readers.database.connect().await?;
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        sqlx::query(include_str!("../data/pending.sql"))
            .bind(number(level))
            .bind(number(data::tasks(readers.size)))
            .bind(format!("pending {level}"))
            .execute(&mut conn)
            .await?;
        for index in 0..readers.questions.len() {
            if !readers.questions[index].of_rollups {
                continue;
            }
            let times = readers.ask(bench, index).await?;
            let faster = times.raw.median / times.now.median;
            let name = format!("{}, {} pending", readers.questions[index].name, rows(level));
            table.row(name, [Figure::Latency(times.now), Figure::Latency(times.raw), ratio(faster)]);
            if index == 0 && readers.size == bench.plan.judged() {
                let wanted = match level {
                    ..=1_000 => 15.0,
                    1_001..=10_000 => 2.0,
                    _ => 1.0,
                };
                let what = format!(
                    "a runtime from raw, against as served with {} pending, beside {} rows",
                    rows(level),
                    rows(readers.size)
                );
                section.floor(what, Bound::AtLeast(wanted), faster);
            }
        }
        holder.close().await?;
        let began = Instant::now();
        drain(&readers.database).await?;
        let rate = float(level) / began.elapsed().as_secs_f64();
        table.row(format!("{} rows folded", rows(level)), [Figure::Value { unit: Unit::PerSecond, value: rate }]);
        if level == bench.plan.scale.pending.iter().copied().max().unwrap_or(0) && readers.size == bench.plan.judged() {
            let (what, wanted) = (format!("a backlog of {} rows folded", rows(level)), Bound::AtLeast(f64::from(INFLOW) * 10.0));
            section.floors.push(Floor { what, wanted, unit: Unit::PerSecond, measured: rate });
        }
    }
    section.tables.push(table);
    Ok(())
}

async fn while_usage_comes_in(bench: &Bench<'_>, section: &mut Section, readers: &mut Readers) -> Result<(), Error> {
    bench.step(&format!("  while {INFLOW} events a second come in"));
    readers.apis[0].fold();
    let stop = CancellationToken::new();
    let (database, stopped, tasks) = (readers.database.clone(), stop.clone(), data::tasks(readers.size));
    let mut trickling = tokio::task::JoinSet::new();
    trickling.spawn(async move { writers::trickle(&database, tasks, "reads", &stopped).await });
    let path = readers.questions[0].path.clone();
    let (began, mut times) = (Instant::now(), [Vec::new(), Vec::new()]);
    while began.elapsed() < bench.plan.scale.trickling {
        for (client, times) in readers.clients.iter_mut().zip(&mut times) {
            times.extend(repeat(client, &path, 10, bench.plan.scale.asking).await?);
        }
    }
    stop.cancel();
    let mut events = 0;
    while let Some(session) = trickling.join_next().await {
        events += session??;
    }
    let came = float(events) / began.elapsed().as_secs_f64();
    let [now, bare] = times.map(|times| Summary::of_times(&times));
    let mut table = Table::new(
        format!("A runtime by day beside {} rows, while {INFLOW} events a second come in and are folded", rows(readers.size)),
        ["events a second that came", "as served", "from the bare rollup", "served, against bare"],
    );
    let rate = Figure::Value { unit: Unit::PerSecond, value: came };
    table.rows.push(vec![rate, Figure::Latency(now), Figure::Latency(bare), ratio(now.median / bare.median)]);
    section.tables.push(table);
    section.floor("the median while events come in, against the bare rollup's", Bound::AtMost(5.0), now.median / bare.median);
    Ok(())
}

/// How reads stand against history.
fn history(section: &mut Section, by_size: &[(u64, Summary)]) {
    let points = by_size.iter().map(|(size, times)| (float(*size), times.median)).collect();
    let line = Line { name: "Tallybook".to_owned(), points };
    section.plots.push(Plot {
        name: "reads".to_owned(),
        caption: "A runtime's last 30 days by day, as served, nothing pending".to_owned(),
        x: ("rows of history".to_owned(), Unit::Count),
        y: ("an answer, median".to_owned(), Unit::Seconds),
        lines: vec![line],
    });
    if let (Some((small, first)), Some((large, last))) = (by_size.first(), by_size.last()) {
        let what = format!("a runtime by day beside {} rows, against {}", rows(*large), rows(*small));
        section.floor(what, Bound::AtMost(1.5), last.median / first.median);
    }
}
