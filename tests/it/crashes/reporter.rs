//! Reporters: they send running totals and single events, move tasks about, and send again whatever was not acknowledged.
use super::choices::choices;
use super::ledger::{Identity, Ledger, Sent};
use super::plan::one_of;
use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use uuid::Uuid;

/// Reporters of one instance.
const REPORTERS: u64 = 3;
/// Tasks of one reporter.
const TASKS: usize = 4;
const MODELS: [&str; 2] = ["opus", "sonnet"];
const NAMES: [&str; 3] = ["ada", "bob", "eve"];
/// Requests that a reporter keeps for later when they were not acknowledged; then it sends nothing new.
const UNANSWERED_MAX: usize = 4;
/// Pause between two requests: the machine has more to do than to take reports.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a request may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How often a reporter that is to end sends again.
const TRIES_MAX: u32 = 10_000;
/// What no answer may tell: where the data are, and what PostgreSQL says.
const SECRETS: [&str; 5] = ["/tmp", "postgres", "No space", "pg_", "relation"];

/// Where the service is and what opens it.
#[derive(Clone, Debug)]
pub(super) struct Entrance {
    pub(super) address: SocketAddr,
    pub(super) token: String,
}

/// The entrance, if the service is there.
#[derive(Debug, Default)]
pub(super) struct Door(Mutex<Option<Entrance>>);

impl Door {
    pub(super) fn open(&self, entrance: Entrance) {
        *self.0.lock().unwrap() = Some(entrance);
    }

    pub(super) fn close(&self) {
        *self.0.lock().unwrap() = None;
    }

    pub(super) fn entrance(&self) -> Option<Entrance> {
        self.0.lock().unwrap().clone()
    }
}

/// What reporters were answered.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Requests that were not answered, or with 503, by the code of the problem.
    pub(super) failures: BTreeMap<String, u64>,
    /// Answers that nobody should get.
    pub(super) odd: Vec<String>,
}

/// All reporters of an instance.
pub(super) struct Reporters {
    pub(super) ledger: Arc<Ledger>,
    pub(super) answers: Arc<Mutex<Answers>>,
    ending: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Reporters {
    /// Makes a workspace, and starts them; `part` is whose choices they follow.
    pub(super) fn start(door: &Arc<Door>, part: u64) -> Self {
        let workspace = Uuid::from_u128(u128::from(part) + 1);
        make_workspace(&door.entrance().unwrap(), workspace);
        let mut reporters = Self { ledger: Arc::default(), answers: Arc::default(), ending: Arc::default(), threads: Vec::new() };
        for number in 0..REPORTERS {
            let mut reporter = Reporter::new(number, part, workspace, door, &reporters);
            reporters.threads.push(std::thread::spawn(move || reporter.run()));
        }
        reporters
    }

    /// Lets them send again what was not acknowledged, until it is, and ends them.
    pub(super) fn finish(&mut self) {
        self.ending.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

impl Drop for Reporters {
    fn drop(&mut self) {
        // Their threads end, finished or not, when nobody lets them in any more.
        self.ending.store(true, Ordering::Relaxed);
    }
}

fn make_workspace(entrance: &Entrance, id: Uuid) {
    let url = format!("http://{}/v1/workspaces/{id}", entrance.address);
    let body = json!({ "name": "crashes", "slug": format!("crashes-{id}") });
    ureq::put(url).header("authorization", format!("Bearer {}", entrance.token)).send_json(body).unwrap();
}

/// A request that may have to be sent again.
struct Request {
    reports: Vec<Sent>,
    body: Value,
}

struct Reporter {
    choices: StdRng,
    tasks: Vec<Uuid>,
    workspace: Uuid,
    /// The last value of each running total.
    totals: BTreeMap<(usize, &'static str), i64>,
    events: u32,
    unanswered: VecDeque<Request>,
    agent: ureq::Agent,
    door: Arc<Door>,
    ledger: Arc<Ledger>,
    answers: Arc<Mutex<Answers>>,
    ending: Arc<AtomicBool>,
}

impl Reporter {
    fn new(number: u64, part: u64, workspace: Uuid, door: &Arc<Door>, all: &Reporters) -> Self {
        let mut choices = choices(part * REPORTERS + number + 1_000);
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        Self {
            tasks: (0..TASKS).map(|_| Uuid::from_u128(choices.random())).collect(),
            choices,
            workspace,
            totals: BTreeMap::new(),
            events: 0,
            unanswered: VecDeque::new(),
            agent: agent.into(),
            door: Arc::clone(door),
            ledger: Arc::clone(&all.ledger),
            answers: Arc::clone(&all.answers),
            ending: Arc::clone(&all.ending),
        }
    }

    fn run(&mut self) {
        while !self.ending.load(Ordering::Relaxed) {
            let full = self.unanswered.len() == UNANSWERED_MAX;
            let again = full || (!self.unanswered.is_empty() && self.choices.random());
            let request = if again { self.some_unanswered() } else { self.new_request() };
            self.send(request);
        }
        for _ in 0..TRIES_MAX {
            let Some(request) = self.unanswered.pop_front() else { return };
            self.send(request);
        }
        panic!("the service never acknowledges");
    }

    /// Any of them: retries may come out of order, also after newer totals.
    fn some_unanswered(&mut self) -> Request {
        let place = self.choices.random_range(0..self.unanswered.len());
        self.unanswered.remove(place).unwrap()
    }

    fn new_request(&mut self) -> Request {
        let mut reports = Vec::new();
        let mut bodies = Vec::new();
        let mut totals = BTreeSet::new();
        for _ in 0..self.choices.random_range(1..=5) {
            let place = self.choices.random_range(0..TASKS);
            let model = one_of(&MODELS, &mut self.choices);
            let total = (place, model);
            if self.choices.random_ratio(1, 3) && totals.insert(total) {
                let version = self.totals.get(&total).map_or(0, |last| last + 1);
                self.totals.insert(total, version);
                let (sent, mut body) = self.report(place, model, String::new(), version);
                body["sequence"] = json!(version);
                reports.push(sent);
                bodies.push(body);
            } else {
                self.events += 1;
                let event = self.events;
                let (sent, mut body) = self.report(place, model, format!("event {event}"), 0);
                body["event_key"] = json!(sent.identity.event_key);
                body["occurred_at"] = json!(format!("2026-01-{:02}T{:02}:{:02}:00Z", event % 28 + 1, event % 24, event % 4 * 15));
                reports.push(sent);
                bodies.push(body);
            }
        }
        Request { reports, body: json!({ "reports": bodies }) }
    }

    /// A report; some place their task anew.
    fn report(&mut self, place: usize, model: &str, event_key: String, version: i64) -> (Sent, Value) {
        let sent = Sent { identity: Identity { task: self.tasks[place], model: model.to_owned(), event_key }, version };
        let (input, output) = self.ledger.send(&sent);
        let mut body = json!({
            "task_id": sent.identity.task, "provider": "anthropic", "model": model,
            "input_tokens": input, "output_tokens": output, "cache_read_tokens": 0, "cache_write_tokens": 0,
        });
        let name = |choices: &mut StdRng| json!({ "name": one_of(&NAMES, choices) });
        // A task that is not stored needs a place, and whether it is stored is not known before it is acknowledged.
        let runtime = if self.choices.random_ratio(1, 8) { name(&mut self.choices) } else { json!({ "name": "home" }) };
        let agent = if self.choices.random_ratio(1, 8) { name(&mut self.choices) } else { json!({ "name": "ada" }) };
        body["task"] = json!({ "workspace_id": self.workspace, "agent": agent, "runtime": runtime });
        (sent, body)
    }

    /// Sends a request, if there is a service to send it to; one that is not acknowledged is kept.
    fn send(&mut self, request: Request) {
        match self.door.entrance().map(|entrance| self.post(&entrance, &request.body)) {
            Some(Ok(())) => self.ledger.acknowledge(&request.reports),
            Some(Err(failure)) => {
                *self.answers.lock().unwrap().failures.entry(failure).or_default() += 1;
                self.unanswered.push_back(request);
            }
            None => self.unanswered.push_back(request),
        }
        std::thread::sleep(PAUSE);
    }

    /// Whether it was acknowledged; else why not, in a word.
    fn post(&self, entrance: &Entrance, body: &Value) -> Result<(), String> {
        let url = format!("http://{}/v1/usage", entrance.address);
        let authorization = format!("Bearer {}", entrance.token);
        let broken = |_| "connection broken".to_owned();
        let mut response = self.agent.post(url).header("authorization", authorization).send_json(body).map_err(broken)?;
        let text = response.body_mut().read_to_string().map_err(broken)?;
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(());
        }
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let is_problem = response.headers().get("content-type").is_some_and(|media| media == "application/problem+json");
        if status != 503 || !is_problem || SECRETS.iter().any(|secret| text.contains(secret)) {
            self.answers.lock().unwrap().odd.push(format!("{status} {text}"));
        }
        Err(problem["code"].as_str().unwrap_or("?").to_owned())
    }
}
