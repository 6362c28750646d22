//! Many tasks at once: handed from one runtime to another, and deleted with their usage.
use super::{compare, forget, rows};
use crate::bench::contender::{Contender, drain};
use crate::bench::plan::Subject;
use crate::bench::results::{Bound, Section, Table, Unit};
use crate::bench::server::Database;
use crate::bench::{Bench, Error, Turns, data, order};
use sqlx::{AssertSqlSafe, Connection};
use std::time::{Duration, Instant};

const METHOD: &str = "One statement each time, on tasks that nothing else has touched, two rows of usage on average. Folding comes after, and is not counted.";
const CONTENDERS: [Contender; 5] =
    [Contender::Raw, Contender::Usual, Contender::Counters, Contender::Adopted, Contender::Tallybook];
/// Turns of each; a history of a million rows has tasks for five.
const MOVES: usize = 3;
const DELETES: usize = 2;

const MOVE: &str = "update public.agent_task_queue set runtime_id = md5('runtime 150')::uuid where id in (select md5('task ' || n)::uuid from generate_series({tasks}) n)";
const DELETE: &str =
    "delete from public.agent_task_queue where id in (select md5('task ' || n)::uuid from generate_series({tasks}) n)";

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Section, Error> {
    let mut section = Section::new(Subject::Bulk, METHOD);
    let (size, tasks) = (bench.plan.middle(), bench.plan.scale.bulk_tasks);
    let possible = data::tasks(size) / u64::try_from(MOVES + DELETES).unwrap_or(1);
    let tasks = tasks.min(possible);
    let mut copies = Vec::new();
    for contender in CONTENDERS {
        copies.push(bench.server.copy(&contender.ready_on_history(&bench.server, size).await?).await?);
    }
    let mut table = Table::new(
        format!("{} tasks in a history of {} rows, and how many times as long as without a rollup", rows(tasks), rows(size)),
        ["contender", "moved", "deleted"],
    );
    let moved = in_turns(bench, &copies, ("moving", MOVE), 0..MOVES, tasks).await?;
    let deleted = in_turns(bench, &copies, ("deleting", DELETE), MOVES..MOVES + DELETES, tasks).await?;
    for (index, contender) in CONTENDERS.iter().enumerate() {
        table.row(contender.name(), [&moved, &deleted].map(|turns| turns.cell(index, Unit::Seconds, Some(0))));
    }
    section.tables.push(table);
    for (what, turns) in [("moving", &moved), ("deleting", &deleted)] {
        for index in [3, 4] {
            let who = CONTENDERS[index].name();
            let what = format!("{what} {} tasks with {who}, against no rollup", rows(tasks));
            section.floor(what, Bound::AtMost(1.4), turns.ratio(index, 0).median);
        }
    }
    section.left_out.push(format!("other sizes of history than {}", rows(size)));
    let compared: Vec<_> = CONTENDERS.into_iter().zip(copies.clone()).collect();
    compare(&compared, &mut section).await?;
    forget(bench, copies).await?;
    Ok(section)
}

/// Each turn takes the next tasks.
async fn in_turns(
    bench: &Bench<'_>,
    copies: &[Database],
    (what, sql): (&str, &str),
    turns: std::ops::Range<usize>,
    tasks: u64,
) -> Result<Turns, Error> {
    let mut times = Turns::of(CONTENDERS.len());
    for turn in turns {
        bench.step(&format!("  {what} {} tasks, turn {}", rows(tasks), turn + 1));
        let first = u64::try_from(turn).unwrap_or(u64::MAX) * tasks;
        let sql = sql.replace("{tasks}", &format!("{first}, {}", first + tasks - 1));
        for index in order(turn, CONTENDERS.len()) {
            times.add(index, run(CONTENDERS[index], &copies[index], &sql).await?.as_secs_f64());
        }
    }
    Ok(times)
}

async fn run(contender: Contender, database: &Database, sql: &str) -> Result<Duration, Error> {
    let mut conn = database.connect().await?;
    let began = Instant::now();
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(&mut conn).await?;
    let took = began.elapsed();
    conn.close().await?;
    if contender.is_ours() {
        drain(database).await?;
    }
    Ok(took)
}
