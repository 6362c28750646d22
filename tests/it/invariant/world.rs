//! A model of the source tables in memory, and what it says that every rollup shows.
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Ids are small numbers; the database sees them as UUIDs of their kind.
pub(super) type Id = u8;

/// Times that usage may carry: as SQL, the quarter hour, and the UTC day that they fall into. Written by hand.
pub(super) const TIMES: [(&str, &str, &str); 7] = [
    ("2026-03-29 00:59:59.999999+00", "2026-03-29 00:45:00+00", "2026-03-29"),
    ("2026-03-29 01:00:00+00", "2026-03-29 01:00:00+00", "2026-03-29"),
    ("2026-03-28 23:59:59+00", "2026-03-28 23:45:00+00", "2026-03-28"),
    ("2024-02-29 12:34:56+05:30", "2024-02-29 07:00:00+00", "2024-02-29"),
    ("infinity", "9999-12-31 23:45:00+00", "9999-12-31"),
    ("-infinity", "0001-01-01 00:00:00+00", "0001-01-01"),
    ("0044-03-15 12:00:00+00 BC", "0001-01-01 00:00:00+00", "0001-01-01"),
];

/// Names of providers as reported; they are compared in lower case.
pub(super) const PROVIDERS: [&str; 3] = ["Claude", "claude", "Öpen"];

/// Names of models as reported; the last one is too long for an index row.
pub(super) fn models() -> [String; 3] {
    ["opus".to_owned(), "Opus".to_owned(), "x".repeat(300)]
}

fn provider_key(reported: &str) -> String {
    reported.to_ascii_lowercase()
}

fn model_key(reported: &str) -> String {
    if reported.len() <= 256 {
        return reported.to_owned();
    }
    let digest = hex::encode(Sha256::digest(reported));
    format!("{}~{digest}", &reported[..40])
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) agent: Id,
    pub(super) issue: Option<Id>,
    pub(super) runtime: Option<Id>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Usage {
    pub(super) tokens: [i64; 5],
    pub(super) cost: Option<i64>,
    pub(super) time: usize,
}

/// What identifies a row of usage: task, provider and model as reported, and the caller's key.
pub(super) type UsageId = (Id, usize, usize, Id);

#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) workspaces: std::collections::BTreeSet<Id>,
    pub(super) runtimes: BTreeMap<Id, Id>,
    pub(super) agents: BTreeMap<Id, Id>,
    pub(super) projects: BTreeMap<Id, Id>,
    /// Workspace and project.
    pub(super) issues: BTreeMap<Id, (Id, Option<Id>)>,
    pub(super) tasks: BTreeMap<Id, Task>,
    pub(super) usage: BTreeMap<UsageId, Usage>,
    pub(super) sealed: Vec<Sealed>,
}

/// Usage that was sealed, with the key that it had then.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    quarter_hour: String,
    day: &'static str,
    workspace: Id,
    runtime: Option<Id>,
    agent: Id,
    project: Option<Id>,
    provider: usize,
    model: usize,
    usage: Usage,
}

/// Sums of eleven measures and a count, by a key of texts.
pub(super) type Sums = BTreeMap<Vec<Option<String>>, [i128; 12]>;

impl World {
    pub(super) fn delete_workspace(&mut self, id: Id) {
        self.workspaces.remove(&id);
        for runtime in keys_where(&self.runtimes, |w| *w == id) {
            self.delete_runtime(runtime);
        }
        for agent in keys_where(&self.agents, |w| *w == id) {
            self.delete_agent(agent);
        }
        for issue in keys_where(&self.issues, |(w, _)| *w == id) {
            self.delete_issue(issue);
        }
        for project in keys_where(&self.projects, |w| *w == id) {
            self.delete_project(project);
        }
    }

    pub(super) fn delete_runtime(&mut self, id: Id) {
        self.runtimes.remove(&id);
        self.tasks.values_mut().filter(|t| t.runtime == Some(id)).for_each(|t| t.runtime = None);
    }

    pub(super) fn delete_agent(&mut self, id: Id) {
        self.agents.remove(&id);
        for task in keys_where(&self.tasks, |t| t.agent == id) {
            self.delete_task(task);
        }
    }

    pub(super) fn delete_project(&mut self, id: Id) {
        self.projects.remove(&id);
        self.issues.values_mut().filter(|(_, p)| *p == Some(id)).for_each(|(_, p)| *p = None);
    }

    pub(super) fn delete_issue(&mut self, id: Id) {
        self.issues.remove(&id);
        for task in keys_where(&self.tasks, |t| t.issue == Some(id)) {
            self.delete_task(task);
        }
    }

    pub(super) fn delete_task(&mut self, id: Id) {
        self.tasks.remove(&id);
        self.usage.retain(|(task, ..), _| *task != id);
    }

    /// Moves the usage of a UTC day out of reach of all that changes tasks, agents and issues.
    pub(super) fn seal(&mut self, day: &str) {
        let (old, kept) = std::mem::take(&mut self.usage).into_iter().partition(|(_, usage)| TIMES[usage.time].2 == day);
        self.usage = kept;
        let old: BTreeMap<UsageId, Usage> = old;
        let sealed: Vec<_> = old.iter().map(|(id, usage)| self.keyed(id, usage)).collect();
        self.sealed.extend(sealed);
    }

    /// Of sealed usage of a UTC day, keeps no more than that it was that day.
    pub(super) fn thin(&mut self, day: &str) {
        self.sealed
            .iter_mut()
            .filter(|sealed| sealed.day == day)
            .for_each(|sealed| sealed.quarter_hour = format!("{day} 00:00:00+00"));
    }

    /// Sealed usage of a workspace or an agent goes; that of a runtime or a project is nobody's.
    pub(super) fn purge_sealed(&mut self, kind: &str, id: Id) {
        match kind {
            "workspace" => self.sealed.retain(|sealed| sealed.workspace != id),
            "agent" => self.sealed.retain(|sealed| sealed.agent != id),
            "runtime" => self.sealed.iter_mut().filter(|s| s.runtime == Some(id)).for_each(|s| s.runtime = None),
            _ => self.sealed.iter_mut().filter(|s| s.project == Some(id)).for_each(|s| s.project = None),
        }
    }

    /// A row of usage at its key.
    fn keyed(&self, (task, provider, model, _): &UsageId, usage: &Usage) -> Sealed {
        let task = &self.tasks[task];
        Sealed {
            quarter_hour: TIMES[usage.time].1.to_owned(),
            day: TIMES[usage.time].2,
            workspace: self.agents[&task.agent],
            runtime: task.runtime,
            agent: task.agent,
            project: task.issue.and_then(|issue| self.issues[&issue].1),
            provider: *provider,
            model: *model,
            usage: usage.clone(),
        }
    }

    /// Sums by day, workspace, runtime, provider and model.
    pub(super) fn daily(&self) -> Sums {
        self.sums(|row| {
            vec![
                Some(row.day.to_owned()),
                Some(uuid('1', row.workspace)),
                row.runtime.map(|id| uuid('2', id)),
                Some(provider_key(PROVIDERS[row.provider])),
                Some(model_key(&models()[row.model])),
            ]
        })
    }

    /// Sums by quarter hour, workspace, runtime, agent, project, provider and model.
    pub(super) fn quarter_hours(&self) -> Sums {
        self.sums(|row| {
            vec![
                Some(row.quarter_hour.clone()),
                Some(uuid('1', row.workspace)),
                row.runtime.map(|id| uuid('2', id)),
                Some(uuid('3', row.agent)),
                row.project.map(|id| uuid('4', id)),
                Some(provider_key(PROVIDERS[row.provider])),
                Some(model_key(&models()[row.model])),
            ]
        })
    }

    fn sums(&self, key: impl Fn(&Sealed) -> Vec<Option<String>>) -> Sums {
        let mut sums = Sums::new();
        let raw = self.usage.iter().map(|(id, usage)| self.keyed(id, usage));
        for row in raw.chain(self.sealed.iter().cloned()) {
            let (sum, usage) = (sums.entry(key(&row)).or_insert([0; 12]), &row.usage);
            for (position, tokens) in usage.tokens.iter().enumerate() {
                sum[position] += i128::from(*tokens);
                if usage.cost.is_none() {
                    sum[6 + position] += i128::from(*tokens);
                }
            }
            sum[5] += i128::from(usage.cost.unwrap_or(0));
            sum[11] += 1;
        }
        sums
    }
}

fn keys_where<V>(map: &BTreeMap<Id, V>, holds: impl Fn(&V) -> bool) -> Vec<Id> {
    map.iter().filter(|(_, value)| holds(value)).map(|(id, _)| *id).collect()
}

/// The UUID of an entity: its kind's digit, and its number.
pub(super) fn uuid(kind: char, id: Id) -> String {
    format!("00000000-0000-4000-800{kind}-0000000000{id:02x}")
}
