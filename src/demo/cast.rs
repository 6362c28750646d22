//! Who takes part. Ids are made of names, so every run of the demo finds what the last one left.
use super::WORKSPACE;
use super::call::Call;
use serde_json::{Value, json};
use uuid::Uuid;

/// Crews that work side by side, each on tasks of its own.
pub(super) const CREWS: usize = 3;

/// A runtime, an agent, a project or an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    kind: &'static str,
    pub(super) name: &'static str,
    label: (&'static str, &'static str),
}

impl Member {
    const fn of(kind: &'static str, name: &'static str, label: (&'static str, &'static str)) -> Self {
        Self { kind, name, label }
    }

    /// Its id, the same in every run.
    pub(super) fn id(self) -> Uuid {
        Uuid::new_v5(&WORKSPACE, format!("{}/{}", self.kind, self.name).as_bytes())
    }

    /// Makes it, or makes it what it was.
    pub(super) fn put(self, mut body: Value) -> Call {
        body["workspace_id"] = json!(WORKSPACE);
        body["labels"] = json!({ self.label.0: self.label.1 });
        Call::put(self.kind, self.id(), body)
    }
}

const fn runtime(name: &'static str, region: &'static str) -> Member {
    Member::of("runtimes", name, ("region", region))
}

const fn agent(name: &'static str, team: &'static str) -> Member {
    Member::of("agents", name, ("team", team))
}

const fn project(title: &'static str, cost_center: &'static str) -> Member {
    Member::of("projects", title, ("cost_center", cost_center))
}

const fn issue(title: &'static str, priority: &'static str) -> Member {
    Member::of("issues", title, ("priority", priority))
}

/// Where agents run for good.
pub(super) const RUNTIMES: [Member; 3] =
    [runtime("build server", "eu"), runtime("cloud pool", "us"), runtime("office laptops", "eu")];

/// Where each crew runs for a while: machines that are taken away, whose tasks then go elsewhere.
pub(super) const SPOT_RUNTIMES: [Member; CREWS] =
    [runtime("spot machine 1", "us"), runtime("spot machine 2", "us"), runtime("spot machine 3", "eu")];

/// Each crew's agents. Trial agents are removed after a while, with all they did.
pub(super) const AGENTS: [[Member; 2]; CREWS] = [
    [agent("coder", "product"), agent("reviewer", "product")],
    [agent("tester", "quality"), agent("triager", "support")],
    [agent("researcher", "data"), agent("writer", "support")],
];
pub(super) const TRIAL_AGENTS: [Member; CREWS] =
    [agent("trial agent 1", "product"), agent("trial agent 2", "quality"), agent("trial agent 3", "data")];

pub(super) const PROJECTS: [Member; 3] = [project("Checkout", "4711"), project("Search", "4712"), project("Help center", "4713")];

/// Each crew's issues.
pub(super) const ISSUES: [[Member; 2]; CREWS] = [
    [issue("Pay by invoice", "high"), issue("Round totals correctly", "high")],
    [issue("Search forgets accents", "low"), issue("Slow first page", "high")],
    [issue("Answer common questions", "low"), issue("Rewrite the guide", "low")],
];

/// A model and its provider's prices, in 1e-10 USD a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) provider: &'static str,
    pub(super) model: &'static str,
    /// None where nobody names a price.
    pub(super) price: Option<Price>,
}

/// What a token of each kind costs, in 1e-10 USD.
#[derive(Clone, Copy, Debug)]
pub(super) struct Price {
    pub(super) input: i64,
    pub(super) output: i64,
    pub(super) cache_read: i64,
    pub(super) cache_write: i64,
    pub(super) cache_write_1h: i64,
}

/// What the agents work with. The prices are made up, in the usual order of magnitude.
pub(super) const OFFERS: [Offer; 4] = [
    Offer {
        provider: "anthropic",
        model: "claude-sonnet-4-5",
        price: Some(Price { input: 30_000, output: 150_000, cache_read: 3_000, cache_write: 37_500, cache_write_1h: 60_000 }),
    },
    Offer {
        provider: "openai",
        model: "gpt-5",
        price: Some(Price { input: 12_500, output: 100_000, cache_read: 1_250, cache_write: 12_500, cache_write_1h: 12_500 }),
    },
    Offer {
        provider: "google",
        model: "gemini-2.5-flash",
        price: Some(Price { input: 3_000, output: 25_000, cache_read: 750, cache_write: 3_000, cache_write_1h: 3_000 }),
    },
    Offer { provider: "ollama", model: "qwen3-coder", price: None },
];

/// Puts an agent where it works by default.
pub(super) fn put_agent(agent: Member, runtime: Member) -> Call {
    agent.put(json!({ "name": agent.name, "runtime_id": runtime.id() }))
}

/// Puts an issue into a project.
pub(super) fn put_issue(issue: Member, project: Member) -> Call {
    issue.put(json!({ "title": issue.name, "project_id": project.id() }))
}

/// Everything that makes the cast, in an order in which it can be made.
pub(super) fn calls() -> Vec<Call> {
    let mut calls = Vec::new();
    calls.extend(RUNTIMES.iter().chain(&SPOT_RUNTIMES).map(|runtime| runtime.put(json!({ "name": runtime.name }))));
    calls.extend(PROJECTS.iter().map(|project| project.put(json!({ "title": project.name }))));
    for (crew, home) in RUNTIMES.into_iter().enumerate() {
        calls.extend(AGENTS[crew].into_iter().chain([TRIAL_AGENTS[crew]]).map(|agent| put_agent(agent, home)));
        calls.extend(ISSUES[crew].into_iter().map(|issue| put_issue(issue, PROJECTS[crew])));
    }
    calls
}
