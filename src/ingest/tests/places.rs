//! Tasks, and what they refer to: made, found and moved by reports.
use super::*;
use crate::ingest::Error;
use crate::ingest::error::FaultCode;
use crate::ingest::plan::Target;
use crate::ingest::world::Standing;

/// Where the tasks stand, by name.
const STANDING: &str =
    "select string_agg(concat_ws('/', agent.name, runtime.name, issue.title), ' ' order by agent.name, runtime.name)
    from public.agent_task_queue as task
    join public.agent on agent.id = task.agent_id
    left join public.agent_runtime as runtime on runtime.id = task.runtime_id
    left join public.issue on issue.id = task.issue_id";
/// How much of everything there is.
const MADE: &str = "select concat_ws(' ', (select count(*) from public.agent), (select count(*) from public.agent_runtime), \
    (select count(*) from public.issue), (select count(*) from public.agent_task_queue), (select count(*) from public.task_usage))";

async fn fault(bench: &Bench, caller: &Access, reports: Vec<Report>) -> (usize, String, FaultCode) {
    let before = bench.text(MADE).await;
    let Err(Error::Invalid(faults)) = bench.ingest.submit(caller, reports).await else { panic!("must be refused") };
    assert_eq!(bench.text(MADE).await, before, "what is refused leaves nothing behind");
    let [fault] = <[_; 1]>::try_from(faults).unwrap();
    (fault.index, fault.field, fault.code)
}

#[tokio::test]
async fn one_call_is_enough() {
    let bench = Bench::new().await;
    let task = Uuid::new_v4();
    let first = report(task, 1).at_agent("ada").at_runtime("box").at_issue("Fix it").at("2026-02-01T00:00:00Z");
    assert_eq!(bench.put(first.clone()).await, Outcome::Created);
    assert_eq!(bench.text(STANDING).await.unwrap(), "ada/box/Fix it");
    assert_eq!(bench.text(MADE).await.unwrap(), "1 1 1 1 1");
    assert_eq!(bench.put(first).await, Outcome::Unchanged);
    assert_eq!(bench.text(MADE).await.unwrap(), "1 1 1 1 1");
    let usual = "select runtime.name from public.agent join public.agent_runtime as runtime on runtime.id = agent.runtime_id";
    assert_eq!(bench.text(usual).await.unwrap(), "box", "the agent usually runs there");
    let since = "select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD') from public.agent_task_queue";
    assert_eq!(bench.text(since).await.unwrap(), "2026-02-01", "the task is as old as its usage");
}

#[tokio::test]
async fn a_new_task_runs_where_its_agent_usually_does() {
    let bench = Bench::new().await;
    bench.put(report(Uuid::new_v4(), 1).at_agent("ada").at_runtime("box")).await;
    bench.put(report(Uuid::new_v4(), 1).at_agent("ada")).await;
    assert_eq!(bench.text(STANDING).await.unwrap(), "ada/box ada/box");
    let both = vec![report(Uuid::new_v4(), 1).at_agent("bob").at_runtime("den"), report(Uuid::new_v4(), 1).at_agent("bob")];
    bench.submit(both).await.unwrap();
    assert_eq!(bench.text(STANDING).await.unwrap(), "ada/box ada/box bob/den bob/den");
}

#[tokio::test]
async fn a_report_moves_its_task() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    bench.put(report(task, 1).at_agent("bob")).await;
    assert_eq!(bench.text(STANDING).await.unwrap(), "bob/runtime", "what is not named stays");
    bench.put(report(task, 2).at_runtime("den").at_issue("A")).await;
    assert_eq!(bench.text(STANDING).await.unwrap(), "bob/den/A");
    let batch = vec![report(task, 1).keyed("1").at_agent("eve"), report(task, 1).keyed("2").at_agent("ada")];
    bench.submit(batch).await.unwrap();
    assert_eq!(bench.text(STANDING).await.unwrap(), "ada/den/A", "the last word counts");
}

#[tokio::test]
async fn a_stale_or_unchanged_report_moves_and_makes_nothing() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    bench.put(report(task, 5).numbered(5)).await;
    let before = bench.text(MADE).await;
    let elsewhere = |report: Report| report.at_agent("bob").at_runtime("den").at_issue("A");
    assert_eq!(bench.put(elsewhere(report(task, 4).numbered(4))).await, Outcome::Stale);
    assert_eq!(bench.put(elsewhere(report(task, 5).numbered(5))).await, Outcome::Unchanged);
    assert_eq!(bench.text(STANDING).await.unwrap(), "agent/runtime");
    assert_eq!(bench.text(MADE).await, before);
    let mixed = vec![elsewhere(report(task, 4).numbered(4)), report(task, 1).keyed("new").at_runtime("den")];
    assert_eq!(bench.submit(mixed).await.unwrap(), [Outcome::Stale, Outcome::Created]);
    assert_eq!(bench.text(STANDING).await.unwrap(), "agent/den", "only the applied one counts");
}

#[tokio::test]
async fn a_task_that_stands_there_already_is_not_written() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    let version = "select concat(xmin, ' ', ctid) from public.agent_task_queue";
    let before = bench.text(version).await;
    bench.put(report(task, 1).at_agent("agent").at_runtime("runtime")).await;
    assert_eq!(bench.text(version).await, before);
}

#[tokio::test]
async fn reports_of_a_batch_may_rely_on_the_task_that_another_one_makes() {
    let bench = Bench::new().await;
    let task = Uuid::new_v4();
    let batch = vec![report(task, 1).keyed("1"), report(task, 1).keyed("2").at_agent("ada"), report(task, 1).keyed("3")];
    assert_eq!(bench.submit(batch).await.unwrap(), [Outcome::Created; 3]);
}

#[tokio::test]
async fn names_mean_the_oldest_in_use_and_outlive_a_renaming() {
    let bench = Bench::new().await;
    let insert = "insert into public.agent (workspace_id, name, created_at, deleted_at) values
        ($1, 'ada', '2020-01-01', '2021-01-01'), ($1, 'ada', '2023-01-01', null), ($1, 'ada', '2022-01-01', null)";
    sqlx::query(insert).bind(bench.workspace).execute(bench.pool()).await.unwrap();
    bench.put(report(Uuid::new_v4(), 1).at_agent("ada")).await;
    let year = "select to_char(agent.created_at, 'YYYY') from public.agent_task_queue as task join public.agent on agent.id = task.agent_id
        where agent.name = 'ada'";
    assert_eq!(bench.text(year).await.unwrap(), "2022");

    bench.put(report(Uuid::new_v4(), 1).at_agent("bob")).await;
    sqlx::query("update public.agent set name = 'Robert' where name = 'bob'").execute(bench.pool()).await.unwrap();
    bench.put(report(Uuid::new_v4(), 1).at_agent("bob")).await;
    assert_eq!(bench.number("select count(*) from public.agent where name = 'bob'").await, 0);
}

#[tokio::test]
async fn a_name_whose_bearer_moved_to_another_workspace_is_made_again() {
    let bench = Bench::new().await;
    let elsewhere = new_workspace(bench.pool()).await;
    for round in 0..3 {
        bench.put(report(Uuid::new_v4(), 1).at_agent("ada")).await;
        assert_eq!(bench.number("select count(*) from public.agent").await, round + 1);
        sqlx::query("update public.agent set workspace_id = $1").bind(elsewhere).execute(bench.pool()).await.unwrap();
    }
}

#[tokio::test]
async fn ids_that_are_missing_are_made() {
    let bench = Bench::new().await;
    let (agent, runtime) = (Uuid::from_u128(1), Uuid::from_u128(2));
    let placed = report(Uuid::new_v4(), 1).placed(|task| {
        task.agent = Some(Reference::Id(agent, Some(Name::parse("ada").unwrap())));
        task.runtime = Some(Reference::Id(runtime, None));
    });
    bench.put(placed).await;
    assert_eq!(bench.text(STANDING).await.unwrap(), format!("ada/{runtime}"));
    bench
        .put(report(Uuid::new_v4(), 1).placed(|task| task.agent = Some(Reference::Id(agent, Some(Name::parse("x").unwrap())))))
        .await;
    assert_eq!(bench.number("select count(*) from public.agent where name = 'ada'").await, 1, "what exists keeps its name");
}

#[tokio::test]
async fn unknown_tasks_and_tasks_of_others_are_the_same_to_a_caller() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    let stranger = bound_to(Some(new_workspace(bench.pool()).await));
    let expected = (0, "task_id".to_owned(), FaultCode::UnknownTask);
    assert_eq!(fault(&bench, &bench.caller, vec![report(Uuid::new_v4(), 1)]).await, expected);
    assert_eq!(fault(&bench, &stranger, vec![report(task, 1)]).await, expected);
    assert_eq!(fault(&bench, &stranger, vec![report(task, 1).at_agent("mine")]).await, expected, "nor can it be taken");
}

#[tokio::test]
async fn what_is_another_workspaces_is_not_found() {
    let bench = Bench::new().await;
    bench.task().await;
    let stranger = bound_to(Some(new_workspace(bench.pool()).await));
    for (kind, table, code) in [
        ("agent", "select id from public.agent", FaultCode::UnknownAgent),
        ("runtime", "select id from public.agent_runtime", FaultCode::UnknownRuntime),
    ] {
        let id: Uuid = sqlx::query_scalar(table).fetch_one(bench.pool()).await.unwrap();
        let theirs = Some(Reference::Id(id, None));
        let placed = report(Uuid::new_v4(), 1).at_agent("new").placed(|task| match kind {
            "agent" => task.agent = theirs,
            _ => task.runtime = theirs,
        });
        let fine = report(Uuid::new_v4(), 1).at_agent("another");
        assert_eq!(fault(&bench, &stranger, vec![fine, placed]).await, (1, format!("task.{kind}.id"), code));
    }
    let other = report(Uuid::new_v4(), 1).at_agent("new").placed(|task| task.workspace_id = Some(bench.workspace));
    assert_eq!(fault(&bench, &stranger, vec![other]).await, (0, "task.workspace_id".into(), FaultCode::UnknownWorkspace));
}

#[tokio::test]
async fn a_caller_of_all_workspaces_says_where_to_make_things() {
    let bench = Bench::new().await;
    let everywhere = bound_to(None);
    let new = || report(Uuid::new_v4(), 1).at_agent("ada");
    let lost = fault(&bench, &everywhere, vec![new()]).await;
    assert_eq!(lost, (0, "task.workspace_id".into(), FaultCode::WorkspaceRequired));
    let nowhere = new().placed(|task| task.workspace_id = Some(Uuid::new_v4()));
    assert_eq!(fault(&bench, &everywhere, vec![nowhere]).await, (0, "task.workspace_id".into(), FaultCode::UnknownWorkspace));
    let placed = new().placed(|task| task.workspace_id = Some(bench.workspace));
    bench.ingest.submit(&everywhere, vec![placed]).await.unwrap();
    let agent: Uuid = sqlx::query_scalar("select id from public.agent").fetch_one(bench.pool()).await.unwrap();
    let by_id = report(Uuid::new_v4(), 1).placed(|task| task.agent = Some(Reference::Id(agent, None))).at_runtime("box");
    bench.ingest.submit(&everywhere, vec![by_id]).await.unwrap();
    assert_eq!(bench.text(STANDING).await.unwrap(), "ada/box ada", "an id that exists says it too");
}

#[tokio::test]
async fn a_task_may_move_to_an_agent_of_another_workspace_only() {
    let bench = Bench::new().await;
    let task = bench.task().await;
    let (everywhere, elsewhere) = (bound_to(None), new_workspace(bench.pool()).await);
    let there = |report: Report| report.placed(|task| task.workspace_id = Some(elsewhere));
    let split = fault(&bench, &everywhere, vec![there(report(task, 1).at_runtime("den"))]).await;
    assert_eq!(split, (0, "task.workspace_id".into(), FaultCode::UnknownWorkspace));
    bench.ingest.submit(&everywhere, vec![there(report(task, 1).at_agent("bob").at_runtime("den"))]).await.unwrap();
    assert_eq!(bench.text(STANDING).await.unwrap(), "bob/den");
}

#[tokio::test]
async fn a_new_task_needs_an_agent_and_a_workspace_that_exists() {
    let bench = Bench::new().await;
    let headless = report(Uuid::new_v4(), 1).at_runtime("box");
    assert_eq!(fault(&bench, &bench.caller, vec![headless]).await, (0, "task.agent".into(), FaultCode::AgentRequired));
    let orphan = bound_to(Some(Uuid::new_v4()));
    let placed = report(Uuid::new_v4(), 1).at_agent("ada");
    assert_eq!(fault(&bench, &orphan, vec![placed]).await, (0, "task.agent".into(), FaultCode::UnknownWorkspace));
}

#[tokio::test]
async fn every_bad_report_is_named_up_to_twenty() {
    let bench = Bench::new().await;
    let batch: Vec<_> = (0..30).map(|_| report(Uuid::new_v4(), 1)).collect();
    let Err(Error::Invalid(faults)) = bench.submit(batch).await else { panic!("must be refused") };
    assert_eq!(faults.iter().map(|fault| fault.index).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
}

#[test]
fn a_task_has_to_move_where_something_else_is_named() {
    let [here, there] = [1, 2].map(Uuid::from_u128);
    let standing = Standing { workspace: here, agent: here, runtime: Some(here), issue: None };
    let differs = |agent, runtime, issue| Target { agent, runtime, issue }.differs_from(&standing);
    assert!(!differs(None, None, None));
    assert!(!differs(Some(here), Some(here), None));
    assert!(differs(Some(there), None, None));
    assert!(differs(None, Some(there), None));
    assert!(differs(None, None, Some(here)));
}
