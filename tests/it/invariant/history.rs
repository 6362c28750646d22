//! Random histories: each step is done to the database and to the model.
use super::world::{Id, PROVIDERS, TIMES, Task, Usage, World, models, uuid};
use proptest::prelude::*;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

/// Entities of each kind that a history may have: few, so that ids come again after they were deleted.
const IDS: Id = 4;

#[derive(Clone, Debug)]
pub(super) enum Step {
    AddWorkspace(Id),
    AddRuntime(Id, Id),
    AddAgent(Id, Id),
    AddProject(Id, Id),
    AddIssue(Id, Id, Option<Id>),
    AddTask(Id, Id, Option<Id>, Option<Id>),
    Report {
        task: Id,
        provider: usize,
        model: usize,
        key: Id,
        usage: Usage,
    },
    /// Corrects every row of a task, or of all tasks, in one statement and without touching `updated_at`.
    Correct {
        task: Option<Id>,
        column: Column,
    },
    DeleteUsage(Id),
    MoveTask(Id, Task),
    ReassignRuntime(Id, Option<Id>),
    MoveAgent(Id, Id),
    MoveIssue(Id, Option<Id>),
    Delete(Kind, Id),
    /// Deletes, and takes what is sealed along.
    Purge(Purged, Id),
    /// Usage and its task change in one statement.
    CorrectAndMove(Id, Option<Id>),
    Begin {
        repeatable_read: bool,
    },
    Savepoint,
    RollbackToSavepoint,
    Rollback,
    Commit,
    Fold {
        batch_rows: i64,
    },
    Cover {
        rows: i64,
    },
    /// Drops a rollup and declares it again, uncovered.
    Redeclare {
        daily: bool,
    },
    Rebuild {
        time: usize,
    },
    SettleViews,
    /// Covers all, and seals a day's usage.
    Seal {
        time: usize,
        batch_rows: i64,
    },
    Thin {
        time: usize,
    },
}

/// What sealed usage is known by.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purged {
    Workspace,
    Runtime,
    Agent,
    Project,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Column {
    Tokens(usize, i64),
    Cost(Option<i64>),
    Time(usize),
    Nothing,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Workspace,
    Runtime,
    Agent,
    Project,
    Issue,
    Task,
}

fn usage() -> impl Strategy<Value = Usage> {
    let count = prop_oneof![8 => 0_i64..1_000, 1 => Just(i64::MAX)];
    (proptest::array::uniform5(count), proptest::option::of(0_i64..100), 0..TIMES.len()).prop_map(|(tokens, cost, time)| Usage {
        tokens,
        cost,
        time,
    })
}

fn column() -> impl Strategy<Value = Column> {
    prop_oneof![
        (0..5_usize, 0_i64..1_000).prop_map(|(which, to)| Column::Tokens(which, to)),
        proptest::option::of(0_i64..100).prop_map(Column::Cost),
        (0..TIMES.len()).prop_map(Column::Time),
        Just(Column::Nothing),
    ]
}

fn task() -> impl Strategy<Value = Task> {
    (0..IDS, proptest::option::of(0..IDS), proptest::option::of(0..IDS)).prop_map(|(agent, issue, runtime)| Task {
        agent,
        issue,
        runtime,
    })
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let id = || 0..IDS;
    let maybe = || proptest::option::of(0..IDS);
    prop_oneof![
        1 => id().prop_map(Step::AddWorkspace),
        2 => (id(), id()).prop_map(|(a, b)| Step::AddRuntime(a, b)),
        3 => (id(), id()).prop_map(|(a, b)| Step::AddAgent(a, b)),
        2 => (id(), id()).prop_map(|(a, b)| Step::AddProject(a, b)),
        3 => (id(), id(), maybe()).prop_map(|(a, b, c)| Step::AddIssue(a, b, c)),
        6 => (id(), task()).prop_map(|(id, t)| Step::AddTask(id, t.agent, t.issue, t.runtime)),
        16 => (id(), 0..PROVIDERS.len(), 0..models().len(), 0..2_u8, usage())
            .prop_map(|(task, provider, model, key, usage)| Step::Report { task, provider, model, key, usage }),
        5 => (maybe(), column()).prop_map(|(task, column)| Step::Correct { task, column }),
        2 => id().prop_map(Step::DeleteUsage),
        5 => (id(), task()).prop_map(|(id, t)| Step::MoveTask(id, t)),
        2 => (id(), maybe()).prop_map(|(a, b)| Step::ReassignRuntime(a, b)),
        3 => (id(), id()).prop_map(|(a, b)| Step::MoveAgent(a, b)),
        3 => (id(), maybe()).prop_map(|(a, b)| Step::MoveIssue(a, b)),
        3 => (prop_oneof![Just(Kind::Workspace), Just(Kind::Runtime), Just(Kind::Agent), Just(Kind::Project), Just(Kind::Issue), Just(Kind::Task)], id())
            .prop_map(|(kind, id)| Step::Delete(kind, id)),
        2 => (prop_oneof![Just(Purged::Workspace), Just(Purged::Runtime), Just(Purged::Agent), Just(Purged::Project)], id())
            .prop_map(|(kind, id)| Step::Purge(kind, id)),
        2 => (id(), maybe()).prop_map(|(a, b)| Step::CorrectAndMove(a, b)),
        3 => any::<bool>().prop_map(|repeatable_read| Step::Begin { repeatable_read }),
        2 => Just(Step::Savepoint),
        2 => Just(Step::RollbackToSavepoint),
        1 => Just(Step::Rollback),
        3 => Just(Step::Commit),
        8 => prop_oneof![Just(50_000_i64), Just(1), Just(3)].prop_map(|batch_rows| Step::Fold { batch_rows }),
        3 => (1_i64..6).prop_map(|rows| Step::Cover { rows }),
        1 => any::<bool>().prop_map(|daily| Step::Redeclare { daily }),
        1 => (0..TIMES.len()).prop_map(|time| Step::Rebuild { time }),
        1 => Just(Step::SettleViews),
        4 => (past(), prop_oneof![Just(1_i64), Just(1_000)]).prop_map(|(time, batch_rows)| Step::Seal { time, batch_rows }),
        2 => past().prop_map(|time| Step::Thin { time }),
    ]
}

/// A time whose day is over.
fn past() -> impl Strategy<Value = usize> {
    prop::sample::select((0..TIMES.len()).filter(|time| TIMES[*time].0 != "infinity").collect::<Vec<_>>())
}

/// The writer's side of a history: a connection, the model, and what a rollback goes back to.
pub(super) struct Writer {
    pub(super) world: World,
    began: Option<World>,
    savepoint: Option<World>,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { world: World::default(), began: None, savepoint: None }
    }

    /// Does a step where it makes sense; else nothing. Maintenance runs on a connection of its own, beside whatever the writer has open.
    pub(super) async fn take(&mut self, step: &Step, conn: &mut PgConnection, maintenance: &mut PgConnection) {
        if let Some(sql) = self.change(step) {
            run(conn, &sql).await;
        } else if let Some(sql) = self.control(step) {
            run(conn, sql).await;
        } else if let Some(sql) = self.maintain(step) {
            run(maintenance, &sql).await;
        } else {
            self.retain(step, maintenance).await;
        }
    }

    /// Sealing leaves alone what somebody else has, which the model knows nothing of: it is done while nothing is open.
    async fn retain(&mut self, step: &Step, maintenance: &mut PgConnection) {
        let (Step::Seal { time, .. } | Step::Thin { time }) = *step else { return };
        if self.began.is_some() {
            return;
        }
        for _ in 0..2 {
            run(maintenance, "select tallybook.backfill_slice(1000000)").await;
        }
        let day = TIMES[time].2;
        let since = if time >= 5 { "-infinity" } else { day };
        if let Step::Seal { batch_rows, .. } = *step {
            let mut after = "-infinity".to_owned();
            loop {
                let sql = format!(
                    "select go_on_after::text from tallybook.seal('{since}', '{day}'::timestamptz + interval '24 hours', '{after}', {batch_rows})"
                );
                match sqlx::query_scalar::<_, Option<String>>(AssertSqlSafe(sql)).fetch_one(&mut *maintenance).await.unwrap() {
                    Some(next) => after = next,
                    None => break,
                }
            }
            self.world.seal(day);
        } else {
            run(maintenance, &format!("select tallybook.thin('{since}', '{day}'::timestamptz + interval '24 hours')")).await;
            self.world.thin(day);
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of step")]
    fn change(&mut self, step: &Step) -> Option<String> {
        let w = &mut self.world;
        Some(match *step {
            Step::AddWorkspace(id) if w.workspaces.insert(id) => {
                format!("insert into workspace (id, name, slug) values ('{}', 'w', 'w{id}')", uuid('1', id))
            }
            Step::AddRuntime(id, workspace) if w.workspaces.contains(&workspace) && !w.runtimes.contains_key(&id) => {
                w.runtimes.insert(id, workspace);
                format!(
                    "insert into agent_runtime (id, workspace_id, name) values ('{}', '{}', 'r')",
                    uuid('2', id),
                    uuid('1', workspace)
                )
            }
            Step::AddAgent(id, workspace) if w.workspaces.contains(&workspace) && !w.agents.contains_key(&id) => {
                w.agents.insert(id, workspace);
                format!(
                    "insert into agent (id, workspace_id, name) values ('{}', '{}', 'a')",
                    uuid('3', id),
                    uuid('1', workspace)
                )
            }
            Step::AddProject(id, workspace) if w.workspaces.contains(&workspace) && !w.projects.contains_key(&id) => {
                w.projects.insert(id, workspace);
                format!(
                    "insert into project (id, workspace_id, title) values ('{}', '{}', 'p')",
                    uuid('4', id),
                    uuid('1', workspace)
                )
            }
            Step::AddIssue(id, workspace, project) if w.workspaces.contains(&workspace) && !w.issues.contains_key(&id) => {
                let project = project.filter(|p| w.projects.contains_key(p));
                w.issues.insert(id, (workspace, project));
                format!(
                    "insert into issue (id, workspace_id, title, project_id) values ('{}', '{}', 'i', {})",
                    uuid('5', id),
                    uuid('1', workspace),
                    reference('4', project)
                )
            }
            Step::AddTask(id, agent, issue, runtime) if w.agents.contains_key(&agent) && !w.tasks.contains_key(&id) => {
                let task = existing(w, &Task { agent, issue, runtime })?;
                let sql = format!(
                    "insert into agent_task_queue (id, agent_id, issue_id, runtime_id) values ('{}', '{}', {}, {})",
                    uuid('6', id),
                    uuid('3', agent),
                    reference('5', task.issue),
                    reference('2', task.runtime)
                );
                w.tasks.insert(id, task);
                sql
            }
            Step::Report { task, provider, model, key, ref usage } if w.tasks.contains_key(&task) => {
                w.usage.insert((task, provider, model, key), usage.clone());
                upsert(task, provider, model, key, usage)
            }
            Step::Correct { task, column } => {
                let rows = w.usage.iter_mut().filter(|((of, ..), _)| task.is_none_or(|task| task == *of)).map(|(_, usage)| usage);
                let set = match column {
                    Column::Tokens(which, to) => {
                        rows.for_each(|usage| usage.tokens[which] = to);
                        format!("{} = {to}", COUNTERS[which])
                    }
                    Column::Cost(to) => {
                        rows.for_each(|usage| usage.cost = to);
                        format!("cost_usd_ticks = {}", to.map_or("null".to_owned(), |to| to.to_string()))
                    }
                    Column::Time(to) => {
                        rows.for_each(|usage| usage.time = to);
                        format!("created_at = '{}'", TIMES[to].0)
                    }
                    Column::Nothing => "sequence = 1".to_owned(),
                };
                format!(
                    "update task_usage set {set}{}",
                    task.map_or(String::new(), |task| format!(" where task_id = '{}'", uuid('6', task)))
                )
            }
            Step::DeleteUsage(task) => {
                w.usage.retain(|(of, ..), _| *of != task);
                format!("delete from task_usage where task_id = '{}'", uuid('6', task))
            }
            Step::MoveTask(id, ref to) if w.tasks.contains_key(&id) => {
                let to = existing(w, to)?;
                let sql = format!(
                    "update agent_task_queue set agent_id = '{}', issue_id = {}, runtime_id = {} where id = '{}'",
                    uuid('3', to.agent),
                    reference('5', to.issue),
                    reference('2', to.runtime),
                    uuid('6', id)
                );
                w.tasks.insert(id, to);
                sql
            }
            Step::ReassignRuntime(from, to) => {
                let to = to.filter(|to| w.runtimes.contains_key(to));
                w.tasks.values_mut().filter(|t| t.runtime == Some(from)).for_each(|t| t.runtime = to);
                format!(
                    "update agent_task_queue set runtime_id = {} where runtime_id = '{}'",
                    reference('2', to),
                    uuid('2', from)
                )
            }
            Step::MoveAgent(id, to) if w.agents.contains_key(&id) && w.workspaces.contains(&to) => {
                w.agents.insert(id, to);
                format!("update agent set workspace_id = '{}' where id = '{}'", uuid('1', to), uuid('3', id))
            }
            Step::MoveIssue(id, to) if w.issues.contains_key(&id) => {
                let to = to.filter(|to| w.projects.contains_key(to));
                w.issues.get_mut(&id)?.1 = to;
                format!("update issue set project_id = {} where id = '{}'", reference('4', to), uuid('5', id))
            }
            Step::Delete(kind, id) => delete(w, kind, id),
            Step::Purge(kind, id) => {
                let (of_kind, name, digit) = match kind {
                    Purged::Workspace => (Kind::Workspace, "workspace", '1'),
                    Purged::Runtime => (Kind::Runtime, "runtime", '2'),
                    Purged::Agent => (Kind::Agent, "agent", '3'),
                    Purged::Project => (Kind::Project, "project", '4'),
                };
                w.purge_sealed(name, id);
                format!("{}; select tallybook.purge_sealed('{name}', '{}')", delete(w, of_kind, id), uuid(digit, id))
            }
            Step::CorrectAndMove(id, runtime) if w.tasks.contains_key(&id) => {
                let runtime = runtime.filter(|to| w.runtimes.contains_key(to));
                w.tasks.get_mut(&id)?.runtime = runtime;
                w.usage.iter_mut().filter(|((of, ..), _)| *of == id).for_each(|(_, usage)| usage.tokens[1] = 7);
                format!(
                    "with corrected as (update task_usage set output_tokens = 7 where task_id = '{0}') \
                     update agent_task_queue set runtime_id = {1} where id = '{0}'",
                    uuid('6', id),
                    reference('2', runtime)
                )
            }
            _ => return None,
        })
    }

    fn control(&mut self, step: &Step) -> Option<&'static str> {
        let open = self.began.is_some();
        Some(match step {
            Step::Begin { repeatable_read } if !open => {
                self.began = Some(self.world.clone());
                if *repeatable_read { "begin isolation level repeatable read" } else { "begin" }
            }
            Step::Savepoint if open => {
                self.savepoint = Some(self.world.clone());
                "savepoint here"
            }
            Step::RollbackToSavepoint if open => {
                self.world = self.savepoint.clone()?;
                "rollback to here"
            }
            Step::Rollback if open => {
                self.savepoint = None;
                self.world = self.began.take()?;
                "rollback"
            }
            Step::Commit if open => {
                (self.began, self.savepoint) = (None, None);
                "commit"
            }
            _ => return None,
        })
    }

    fn maintain(&self, step: &Step) -> Option<String> {
        // what replaces a view waits for whoever has read it
        let quiet = self.began.is_none();
        Some(match *step {
            Step::Fold { batch_rows } => format!("select tallybook.fold(2, {batch_rows})"),
            Step::Cover { rows } => format!("select tallybook.backfill_slice({rows})"),
            Step::Redeclare { daily: true } if quiet => "select tallybook.drop_rollup('task_usage_daily');
                select tallybook.create_rollup('task_usage_daily', '1 day', array['workspace_id', 'runtime_id', 'provider', 'model'])"
                .to_owned(),
            Step::Redeclare { daily: false } if quiet => "select tallybook.drop_rollup('task_usage_quarter_hour');
                select tallybook.create_rollup('task_usage_quarter_hour', '15 minutes',
                  array['workspace_id', 'runtime_id', 'agent_id', 'project_id', 'provider', 'model'])"
                .to_owned(),
            Step::Rebuild { time } => format!("select tallybook.rebuild('{0}', case when isfinite('{0}'::timestamptz) then '{0}'::timestamptz + interval '3 days' else 'infinity' end)", TIMES[time].0),
            Step::SettleViews if quiet => "select tallybook.settle_views()".to_owned(),
            _ => return None,
        })
    }
}

const COUNTERS: [&str; 5] = ["input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens"];

fn upsert(task: Id, provider: usize, model: usize, key: Id, usage: &Usage) -> String {
    let [input, output, read, write, write_1h] = usage.tokens;
    format!(
        "insert into task_usage (task_id, provider, model, event_key, {}, cost_usd_ticks, created_at)
         values ('{}', '{}', '{}', '{key}', {input}, {output}, {read}, {write}, {write_1h}, {}, '{}')
         on conflict (task_id, provider, model, event_key) do update set input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
           cache_read_tokens = excluded.cache_read_tokens, cache_write_tokens = excluded.cache_write_tokens,
           cache_write_1h_tokens = excluded.cache_write_1h_tokens, cost_usd_ticks = excluded.cost_usd_ticks, created_at = excluded.created_at",
        COUNTERS.join(", "),
        uuid('6', task),
        PROVIDERS[provider],
        models()[model],
        usage.cost.map_or("null".to_owned(), |cost| cost.to_string()),
        TIMES[usage.time].0
    )
}

fn delete(w: &mut World, kind: Kind, id: Id) -> String {
    let (table, digit) = match kind {
        Kind::Workspace => ("workspace", '1'),
        Kind::Runtime => ("agent_runtime", '2'),
        Kind::Agent => ("agent", '3'),
        Kind::Project => ("project", '4'),
        Kind::Issue => ("issue", '5'),
        Kind::Task => ("agent_task_queue", '6'),
    };
    match kind {
        Kind::Workspace => w.delete_workspace(id),
        Kind::Runtime => w.delete_runtime(id),
        Kind::Agent => w.delete_agent(id),
        Kind::Project => w.delete_project(id),
        Kind::Issue => w.delete_issue(id),
        Kind::Task => w.delete_task(id),
    }
    format!("delete from {table} where id = '{}'", uuid(digit, id))
}

fn existing(w: &World, task: &Task) -> Option<Task> {
    w.agents.contains_key(&task.agent).then(|| Task {
        agent: task.agent,
        issue: task.issue.filter(|id| w.issues.contains_key(id)),
        runtime: task.runtime.filter(|id| w.runtimes.contains_key(id)),
    })
}

fn reference(kind: char, id: Option<Id>) -> String {
    id.map_or("null".to_owned(), |id| format!("'{}'", uuid(kind, id)))
}

async fn run(conn: &mut PgConnection, sql: &str) {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
}
