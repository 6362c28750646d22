//! What each contender shows after all kinds of writes: corrections, moves, deletes, cascades, and a transaction that commits late.
use super::{forget, rows};
use crate::bench::contender::Contender;
use crate::bench::plan::Subject;
use crate::bench::results::{Bound, Figure, Floor, Section, Table, Unit};
use crate::bench::stats::float;
use crate::bench::{Bench, Error};
use sqlx::{Connection, Executor};

const METHOD: &str = "Corrections of counters, model and time, tasks that change runtime and agent or lose their runtime, deletes of usage and of tasks, an agent that changes its workspace, one that \
is deleted with all its usage, and a transaction that began before a tick and commits after it. In daily keys; those of Tallybook in all rollups. The second column is after a tick as if the usual design's lag had passed.";
/// A row of usage that was reported before others, and commits after them: of a model that nobody else uses, so that no counter is waited for, and
/// of a task that nothing else touches.
const LATE: &str = "begin; insert into public.task_usage (task_id, provider, model, event_key, input_tokens)
    select t.id, 'anthropic', 'late', '', 1000
    from generate_series(200, 299) n join public.agent_task_queue t on t.id = md5('task ' || n)::uuid
    where t.agent_id not in (md5('agent 52')::uuid, md5('agent 53')::uuid) order by n limit 1";

pub(super) async fn measure(bench: &Bench<'_>) -> Result<Section, Error> {
    let mut section = Section::new(Subject::Correctness, METHOD);
    let size = bench.plan.smallest();
    let mut table = Table::new(
        format!("Daily keys that differ from raw, beside {} rows", rows(size)),
        ["contender", "right after the writes", "when it has caught up"],
    );
    for contender in Contender::ALL {
        let database = bench.server.copy(&contender.ready_on_history(&bench.server, size).await?).await?;
        let (mut late, mut writer) = (database.connect().await?, database.connect().await?);
        late.execute(LATE).await?;
        writer.execute(include_str!("correctness.sql")).await?;
        let at_once = contender.differing(&database).await?;
        contender.tick(&mut writer).await?;
        late.execute("commit").await?;
        contender.tick(&mut writer).await?;
        let caught_up = contender.differing(&database).await?;
        table.row(contender.name(), [Figure::Count(at_once), Figure::Count(caught_up)]);
        if contender.is_ours() {
            section.fault_unless(
                at_once == 0 && caught_up == 0,
                format!("{at_once}, then {caught_up} keys of {} differ", contender.name()),
            );
            section.floors.push(Floor {
                what: format!("keys in which {} differs from raw", contender.name()),
                wanted: Bound::AtMost(0.0),
                unit: Unit::Count,
                measured: float(at_once + caught_up),
            });
        }
        late.close().await?;
        writer.close().await?;
        forget(bench, [database]).await?;
    }
    section.tables.push(table);
    Ok(section)
}
