//! Decides, without I/O, what a group's reports mean: which tasks they name, what has to be made, what is refused.
//!
//! Batches are looked at in the order in which they came; each sees what those before it are going to make.
//! A batch that is refused leaves nothing behind.
use super::error::{FAULTS_MAX, Fault, FaultCode};
use super::queue::Batch;
use super::report::{Reference, Report, TaskPlace};
use super::statements::{Refused, Statements, Unwritable};
use super::transaction::Item;
use super::world::{Standing, World};
use crate::model::id::Kind;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// What is to be done for a group.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// For each batch, where its reports place their tasks; or what is wrong with it.
    pub(super) targets: Vec<Result<Vec<Target>, Vec<Fault>>>,
    /// Tasks that are not stored yet.
    pub(super) new_tasks: BTreeMap<Uuid, NewTask>,
    /// What is named and not stored. It is made only for a report that needs it.
    pub(super) missing: BTreeMap<(Kind, Uuid), Missing>,
}

/// Where a report places its task; what it does not name stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) agent: Option<Uuid>,
    pub(super) runtime: Option<Uuid>,
    pub(super) issue: Option<Uuid>,
}

/// A task to be made.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewTask {
    pub(super) standing: Standing,
    /// When its first report happened, if the report says it.
    pub(super) since: Option<Timestamp>,
}

/// A runtime, agent or issue to be made.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    pub(super) workspace: Uuid,
    pub(super) name: String,
    /// An agent's: the one that the first new task of the agent names.
    runtime: Option<Uuid>,
}

impl Target {
    /// Lets `later` have the last word on what it names.
    pub(super) fn overlay(&mut self, later: Self) {
        *self = Self {
            agent: later.agent.or(self.agent),
            runtime: later.runtime.or(self.runtime),
            issue: later.issue.or(self.issue),
        };
    }

    /// Whether a task that stands there has to move.
    pub(super) fn differs_from(&self, standing: &Standing) -> bool {
        self.agent.is_some_and(|agent| agent != standing.agent)
            || (self.runtime.is_some() && self.runtime != standing.runtime)
            || (self.issue.is_some() && self.issue != standing.issue)
    }
}

impl Plan {
    /// Where a report that was not refused places its task.
    pub(super) fn target(&self, item: Item<'_>) -> Target {
        self.targets[item.batch].as_ref().map_or_else(|_| Target::default(), |targets| targets[item.index])
    }
}

/// Decides for `batches`, given what is stored and what can be.
pub(super) fn make(world: &World, statements: &Statements, batches: &[&Batch]) -> Plan {
    let mut plan = Plan::default();
    for (number, (batch, homes)) in batches.iter().zip(&world.homes).enumerate() {
        let (new_tasks, missing) = (HashMap::new(), HashMap::new());
        let mut draft = Draft { world, statements, before: &plan, number, batch, new_tasks, missing };
        let targets = draft.place_all(homes);
        let Draft { new_tasks, missing, .. } = draft;
        if targets.is_ok() {
            plan.new_tasks.extend(new_tasks);
            plan.missing.extend(missing);
        }
        plan.targets.push(targets);
    }
    plan
}

/// One batch's part of the plan, while it may still be refused.
struct Draft<'a> {
    world: &'a World,
    statements: &'a Statements,
    before: &'a Plan,
    /// Which one of the group it is.
    number: usize,
    batch: &'a Batch,
    new_tasks: HashMap<Uuid, NewTask>,
    missing: HashMap<(Kind, Uuid), Missing>,
}

impl Draft<'_> {
    fn place_all(&mut self, homes: &[Option<Uuid>]) -> Result<Vec<Target>, Vec<Fault>> {
        let batch = self.batch;
        let mut targets = vec![Target::default(); batch.reports.len()];
        let mut faults = Vec::new();
        // Reports that place their task first: the others may rely on it, wherever in the batch they are.
        let (placing, relying): (Vec<_>, Vec<_>) =
            batch.reports.iter().enumerate().partition(|(_, report)| report.task.is_some());
        for (index, report) in placing.into_iter().chain(relying) {
            match self.place(report, index, homes[index]) {
                Ok(target) => targets[index] = target,
                Err(Refusal { field, code, reason }) => faults.push(Fault { index, field, code, reason }),
            }
        }
        if faults.is_empty() {
            return Ok(targets);
        }
        faults.sort_by_key(|fault| fault.index);
        faults.truncate(FAULTS_MAX);
        Err(faults)
    }

    fn place(&mut self, report: &Report, index: usize, home: Option<Uuid>) -> Result<Target, Refusal> {
        let standing = self.standing(report.task_id);
        if standing.is_some_and(|task| self.batch.workspace.is_some_and(|own| own != task.workspace)) {
            return Err(unknown_task(report.task_id));
        }
        if self.world.sealed.contains(&(self.number, index)) {
            // It changes nothing, whatever it names, also where its task is gone.
            return Ok(Target::default());
        }
        if let Some(refused) = self.statements.refuses(report) {
            return Err(refused.into());
        }
        let Some(place) = &report.task else {
            return standing.map(|_| Target::default()).ok_or_else(|| unknown_task(report.task_id));
        };
        self.check_workspace(place, standing, home)?;
        let mut target = Target::default();
        for (kind, reference) in place.references() {
            let id = self.resolve(kind, reference, home)?;
            match kind {
                Kind::Agent => target.agent = Some(id),
                Kind::Runtime => target.runtime = Some(id),
                Kind::Issue => target.issue = Some(id),
            }
        }
        if !self.world.tasks.contains_key(&report.task_id) {
            self.place_new(report, place, target, home)?;
        }
        Ok(target)
    }

    /// Where the task stands, or will when what came before is done.
    fn standing(&self, task: Uuid) -> Option<Standing> {
        let stored = self.world.tasks.get(&task).copied();
        stored.or_else(|| self.new_tasks.get(&task).or_else(|| self.before.new_tasks.get(&task)).map(|new| new.standing))
    }

    fn check_workspace(&self, place: &TaskPlace, standing: Option<Standing>, home: Option<Uuid>) -> Result<(), Refusal> {
        let Some(named) = place.workspace_id else { return Ok(()) };
        if self.batch.workspace.is_some_and(|own| own != named) || !self.world.workspaces.contains(&named) {
            let reason = format!("there is no workspace {named} for this token");
            return Err(Refusal::new("task.workspace_id", FaultCode::UnknownWorkspace, reason));
        }
        if place.agent.is_none() && standing.is_some_and(|task| Some(task.workspace) != home) {
            let reason = "is not the task's workspace: name an agent there to move the task".to_owned();
            return Err(Refusal::new("task.workspace_id", FaultCode::UnknownWorkspace, reason));
        }
        Ok(())
    }

    /// The id of what `reference` names in `home`; what does not exist is noted as missing.
    fn resolve(&mut self, kind: Kind, reference: &Reference, home: Option<Uuid>) -> Result<Uuid, Refusal> {
        let home = home.ok_or_else(|| {
            let reason = "is needed: the token opens all workspaces, and nothing else says where to make what is missing";
            Refusal::new("task.workspace_id", FaultCode::WorkspaceRequired, reason.to_owned())
        })?;
        let (id, name) = match reference {
            Reference::Id(id, name) => (*id, name.as_ref().map_or_else(|| id.to_string(), ToString::to_string)),
            Reference::Name(name) => {
                let named = (kind, home, name.to_string());
                (self.world.names[&named], named.2)
            }
        };
        match self.workspace_of(kind, id) {
            Some(workspace) if workspace == home => Ok(id),
            Some(_) => Err(unknown_entity(kind, id)),
            None if self.world.workspaces.contains(&home) => {
                if let Some(why) = self.statements.cannot_make(kind) {
                    return Err(Refusal::unwritable(format!("task.{}", kind.name()), why));
                }
                self.missing.insert((kind, id), Missing { workspace: home, name, runtime: None });
                Ok(id)
            }
            None => {
                let reason = format!("there is no workspace {home} to make the {} in", kind.name());
                Err(Refusal { field: format!("task.{}", kind.name()), code: FaultCode::UnknownWorkspace, reason })
            }
        }
    }

    fn workspace_of(&self, kind: Kind, id: Uuid) -> Option<Uuid> {
        let key = (kind, id);
        let missing = || self.missing.get(&key).or_else(|| self.before.missing.get(&key)).map(|missing| missing.workspace);
        self.world.entities.get(&key).map(|entity| entity.workspace).or_else(missing)
    }

    /// Makes a task, or moves one that is yet to be made.
    fn place_new(&mut self, report: &Report, place: &TaskPlace, target: Target, home: Option<Uuid>) -> Result<(), Refusal> {
        let before = self.new_tasks.get(&report.task_id).or_else(|| self.before.new_tasks.get(&report.task_id)).copied();
        let placed = match (before, target.agent, home) {
            (Some(NewTask { mut standing, since }), agent, _) => {
                standing.workspace = agent.and(home).unwrap_or(standing.workspace);
                standing.agent = agent.unwrap_or(standing.agent);
                standing.runtime = target.runtime.or(standing.runtime);
                standing.issue = target.issue.or(standing.issue);
                NewTask { standing, since }
            }
            (None, Some(agent), Some(workspace)) => {
                let runtime = target.runtime.or_else(|| self.runtime_of(agent));
                if let Some(refused) = self.statements.cannot_make_task(place, runtime.is_some()) {
                    return Err(refused.into());
                }
                let standing = Standing { workspace, agent, runtime, issue: target.issue };
                NewTask { standing, since: report.occurred_at.map(crate::model::OccurredAt::get) }
            }
            (None, ..) => {
                let reason = format!("is needed: there is no task {} yet, and a new task needs an agent", report.task_id);
                return Err(Refusal::new("task.agent", FaultCode::AgentRequired, reason));
            }
        };
        self.new_tasks.insert(report.task_id, placed);
        if let (Some(agent), Some(runtime)) = (target.agent, target.runtime)
            && let Some(missing) = self.missing.get_mut(&(Kind::Agent, agent))
        {
            missing.runtime.get_or_insert(runtime);
        }
        Ok(())
    }

    /// Where an agent usually runs.
    fn runtime_of(&self, agent: Uuid) -> Option<Uuid> {
        let key = (Kind::Agent, agent);
        match self.world.entities.get(&key) {
            Some(entity) => entity.runtime,
            None => self.missing.get(&key).or_else(|| self.before.missing.get(&key)).and_then(|missing| missing.runtime),
        }
    }
}

/// A [`Fault`] that does not know its place yet.
struct Refusal {
    field: String,
    code: FaultCode,
    reason: String,
}

impl Refusal {
    fn new(field: &str, code: FaultCode, reason: String) -> Self {
        Self { field: field.to_owned(), code, reason }
    }

    fn unwritable(field: String, why: Unwritable) -> Self {
        match why {
            Unwritable::ColumnMissing(reason) => Self { field, code: FaultCode::ColumnMissing, reason },
            Unwritable::NotWritable(reason) => Self { field, code: FaultCode::NotWritable, reason },
        }
    }
}

impl From<Refused> for Refusal {
    fn from(Refused { field, why }: Refused) -> Self {
        Self::unwritable(field.to_owned(), why)
    }
}

fn unknown_task(id: Uuid) -> Refusal {
    let reason = format!("there is no task {id}; a report that names its agent in `task` makes it");
    Refusal::new("task_id", FaultCode::UnknownTask, reason)
}

fn unknown_entity(kind: Kind, id: Uuid) -> Refusal {
    let code = match kind {
        Kind::Runtime => FaultCode::UnknownRuntime,
        Kind::Agent => FaultCode::UnknownAgent,
        Kind::Issue => FaultCode::UnknownIssue,
    };
    Refusal {
        field: format!("task.{}.id", kind.name()),
        code,
        reason: format!("there is no {} {id} in the workspace", kind.name()),
    }
}
