//! A crew of agents and what it does next: no I/O, every decision from its seed.
//!
//! Crews share runtimes and projects, and nothing that one of them moves or removes: what a crew believes of its
//! own tasks is so.
use super::WORKSPACE;
use super::call::Call;
use super::cast::{self, AGENTS, ISSUES, Member, OFFERS, Offer, PROJECTS, RUNTIMES, SPOT_RUNTIMES, TRIAL_AGENTS};
use super::report::{self, Of, Tokens};
use super::step::{Deck, Kind};
use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use uuid::Uuid;

/// Tasks that a crew has in hand at once.
const TASKS_MAX: usize = 60;
/// A task's events that may still be corrected.
const EVENTS_MAX: usize = 6;
/// Events in one request.
const BATCH_MAX: usize = 4;
/// How late a report may be.
const LATE_HOURS_MAX: i64 = 20 * 24;

/// A crew at work.
#[derive(Debug)]
pub(super) struct Crew {
    number: usize,
    /// Tells the tasks of this run from those of others.
    run: String,
    rng: StdRng,
    deck: Deck,
    tasks: Vec<Task>,
    begun: u32,
}

/// A task in hand.
#[derive(Debug)]
struct Task {
    id: Uuid,
    agent: Member,
    runtime: Member,
    issue: Member,
    began_at: Timestamp,
    offer: &'static Offer,
    total: Tokens,
    sequence: u32,
    events: Vec<Event>,
    events_begun: u32,
}

/// An event that was reported.
#[derive(Clone, Debug)]
struct Event {
    key: String,
    at: Timestamp,
    tokens: Tokens,
}

/// One thing that happens.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) kind: Kind,
    /// What to ask of the service, in this order.
    pub(super) calls: Vec<Call>,
}

impl Crew {
    /// Crew `number` of a run that begins at `now`.
    pub(super) fn new(number: usize, seed: u64, now: Timestamp) -> Self {
        let own = u64::try_from(number).expect("a few crews");
        Self {
            number,
            run: now.to_string(),
            rng: StdRng::seed_from_u64(seed.wrapping_add(own)),
            deck: Deck::default(),
            tasks: Vec::new(),
            begun: 0,
        }
    }

    /// What happens next.
    pub(super) fn next(&mut self, now: Timestamp) -> Step {
        let (tasks, spot, trial) = (&self.tasks, self.spot(), self.trial());
        let kind = self.deck.draw(&mut self.rng, |kind| match kind {
            Kind::Begin => tasks.len() < TASKS_MAX,
            Kind::MoveIssue => true,
            Kind::Stale => tasks.iter().any(Task::has_progressed),
            Kind::Correct | Kind::Repeat => tasks.iter().any(Task::has_events),
            Kind::Reassign => tasks.iter().any(|task| task.runtime == spot),
            Kind::PurgeAgent => tasks.iter().any(|task| task.agent == trial),
            _ => !tasks.is_empty(),
        });
        let calls = match kind {
            Kind::Begin => vec![self.begin(now)],
            Kind::Progress => vec![self.progress()],
            Kind::Events => vec![self.events(now)],
            Kind::Late => vec![self.late(now)],
            Kind::Correct => vec![self.correct()],
            Kind::Repeat => vec![self.repeat()],
            Kind::Stale => vec![self.stale()],
            Kind::MoveTask => vec![self.move_task()],
            Kind::Reassign => vec![self.reassign()],
            Kind::MoveIssue => vec![self.move_issue()],
            Kind::Complete => vec![self.complete(now)],
            Kind::Archive => vec![Call::archive("tasks", self.give_up())],
            Kind::PurgeTask => vec![Call::purge("tasks", self.give_up())],
            Kind::PurgeAgent => self.purge_agent(),
        };
        Step { kind, calls }
    }

    fn spot(&self) -> Member {
        SPOT_RUNTIMES[self.number]
    }

    fn trial(&self) -> Member {
        TRIAL_AGENTS[self.number]
    }

    fn begin(&mut self, now: Timestamp) -> Call {
        self.begun += 1;
        let name = format!("tasks/{}/{}/{}", self.run, self.number, self.begun);
        let (agent, runtime) = self.somebody();
        let mut task = Task {
            id: Uuid::new_v5(&WORKSPACE, name.as_bytes()),
            agent,
            runtime,
            issue: pick(&mut self.rng, &ISSUES[self.number]),
            began_at: now,
            offer: OFFERS.choose(&mut self.rng).expect("there are models"),
            total: Tokens::default(),
            sequence: 0,
            events: Vec::new(),
            events_begun: 0,
        };
        let report = task.go_on(&mut self.rng);
        self.tasks.push(task);
        Call::report(&[report])
    }

    fn progress(&mut self) -> Call {
        let place = self.any(|_| true);
        Call::report(&[self.tasks[place].go_on(&mut self.rng)])
    }

    fn events(&mut self, now: Timestamp) -> Call {
        let (place, count) = (self.any(|_| true), self.rng.random_range(1..=BATCH_MAX));
        let reports: Vec<Value> = (0..count).map(|_| self.tasks[place].happen(&mut self.rng, now)).collect();
        Call::report(&reports)
    }

    fn late(&mut self, now: Timestamp) -> Call {
        let (place, at) = (self.any(|_| true), self.earlier(now));
        Call::report(&[self.tasks[place].happen(&mut self.rng, at)])
    }

    fn correct(&mut self) -> Call {
        let (place, moves) = (self.any(Task::has_events), self.rng.random_ratio(1, 4));
        let index = self.rng.random_range(0..self.tasks[place].events.len());
        let mut event = self.tasks[place].events[index].clone();
        event.tokens = Tokens::of_a_request(&mut self.rng);
        if moves {
            event.at = self.earlier(event.at);
        }
        self.tasks[place].events[index] = event;
        Call::report(&[self.tasks[place].event_report(index)])
    }

    fn repeat(&mut self) -> Call {
        let place = self.any(Task::has_events);
        let index = self.rng.random_range(0..self.tasks[place].events.len());
        Call::report(&[self.tasks[place].event_report(index)])
    }

    fn stale(&mut self) -> Call {
        let place = self.any(Task::has_progressed);
        Call::report(&[self.tasks[place].older_total()])
    }

    fn move_task(&mut self) -> Call {
        let (place, (agent, runtime)) = (self.any(|_| true), self.somebody());
        let task = &mut self.tasks[place];
        (task.agent, task.runtime) = (agent, runtime);
        Call::report(&[task.go_on(&mut self.rng)])
    }

    fn reassign(&mut self) -> Call {
        let (spot, to) = (self.spot(), pick(&mut self.rng, &RUNTIMES));
        for task in self.tasks.iter_mut().filter(|task| task.runtime == spot) {
            task.runtime = to;
        }
        Call::reassign(spot.id(), to.id())
    }

    fn move_issue(&mut self) -> Call {
        cast::put_issue(pick(&mut self.rng, &ISSUES[self.number]), pick(&mut self.rng, &PROJECTS))
    }

    fn complete(&mut self, now: Timestamp) -> Call {
        let place = self.any(|_| true);
        let task = self.tasks.swap_remove(place);
        let body = json!({
            "agent_id": task.agent.id(), "runtime_id": task.runtime.id(), "issue_id": task.issue.id(),
            "status": "completed", "started_at": task.began_at, "completed_at": now,
        });
        Call::put("tasks", task.id, body)
    }

    fn give_up(&mut self) -> Uuid {
        let place = self.any(|_| true);
        self.tasks.swap_remove(place).id
    }

    fn purge_agent(&mut self) -> Vec<Call> {
        let trial = self.trial();
        self.tasks.retain(|task| task.agent != trial);
        vec![Call::purge("agents", trial.id()), cast::put_agent(trial, RUNTIMES[self.number])]
    }

    /// Who works, and where: mostly the crew's own, at times somebody on trial or a machine that will not stay.
    fn somebody(&mut self) -> (Member, Member) {
        let rng = &mut self.rng;
        let agent = if rng.random_ratio(1, 5) { TRIAL_AGENTS[self.number] } else { pick(rng, &AGENTS[self.number]) };
        let runtime = if rng.random_ratio(1, 4) { SPOT_RUNTIMES[self.number] } else { pick(rng, &RUNTIMES) };
        (agent, runtime)
    }

    /// The place of a task in hand that suits. There is one, or the card would not have been drawn.
    fn any(&mut self, suits: impl Fn(&Task) -> bool) -> usize {
        let places: Vec<usize> = (0..self.tasks.len()).filter(|place| suits(&self.tasks[*place])).collect();
        *places.choose(&mut self.rng).expect("a card is drawn only when there is a task for it")
    }

    /// Some time before `time`.
    fn earlier(&mut self, time: Timestamp) -> Timestamp {
        time - SignedDuration::from_mins(self.rng.random_range(60..LATE_HOURS_MAX * 60))
    }
}

impl Task {
    fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    fn has_progressed(&self) -> bool {
        self.sequence > 1
    }

    /// The running total grows; reports it.
    fn go_on(&mut self, rng: &mut StdRng) -> Value {
        self.total = self.total.plus(Tokens::of_a_request(rng));
        self.sequence += 1;
        self.report(&Of::Total { sequence: self.sequence }, self.total)
    }

    /// The report before the last one of the running total, or what could have been it.
    fn older_total(&self) -> Value {
        self.report(&Of::Total { sequence: self.sequence - 1 }, Tokens::default())
    }

    /// Something happens at `at`; reports it.
    fn happen(&mut self, rng: &mut StdRng, at: Timestamp) -> Value {
        self.events_begun += 1;
        if self.events.len() == EVENTS_MAX {
            self.events.remove(0);
        }
        let key = format!("request-{}", self.events_begun);
        self.events.push(Event { key, at, tokens: Tokens::of_a_request(rng) });
        self.event_report(self.events.len() - 1)
    }

    fn event_report(&self, index: usize) -> Value {
        let Event { key, at, tokens } = self.events[index].clone();
        self.report(&Of::Event { key, at }, tokens)
    }

    /// Names, beside the ids, let the service make again what somebody has purged.
    fn report(&self, of: &Of, tokens: Tokens) -> Value {
        let mut report = report::json(self.id, self.offer, of, tokens);
        report["task"] = json!({
            "agent": { "id": self.agent.id(), "name": self.agent.name },
            "runtime": { "id": self.runtime.id(), "name": self.runtime.name },
            "issue": { "id": self.issue.id(), "title": self.issue.name },
        });
        report
    }
}

fn pick(rng: &mut StdRng, members: &[Member]) -> Member {
    *members.choose(rng).expect("the cast is complete")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const NOW: &str = "2026-03-10T12:00:00Z";

    fn steps(seed: u64, count: usize) -> Vec<Step> {
        let now = NOW.parse().unwrap();
        let mut crew = Crew::new(0, seed, now);
        (0..count).map(|_| crew.next(now)).collect()
    }

    #[test]
    fn a_few_decks_hold_every_kind_of_step() {
        for seed in 0..50 {
            let kinds: BTreeSet<Kind> = steps(seed, 300).iter().map(|step| step.kind).collect();
            assert_eq!(kinds, BTreeSet::from(Kind::ALL), "seed {seed}");
        }
    }

    #[test]
    fn the_same_seed_does_the_same() {
        let told = |seed| format!("{:?}", steps(seed, 300));
        assert_eq!(told(7), told(7));
        assert_ne!(told(7), told(8));
    }

    #[test]
    fn a_crew_neither_runs_out_of_tasks_nor_drowns_in_them() {
        let now = NOW.parse().unwrap();
        let mut crew = Crew::new(2, 1, now);
        let mut in_hand = Vec::new();
        for _ in 0..20_000 {
            crew.next(now);
            in_hand.push(crew.tasks.len());
        }
        assert!(in_hand.iter().all(|tasks| *tasks <= TASKS_MAX));
        assert!(in_hand[200..].iter().filter(|tasks| **tasks == 0).count() < 1_000);
    }
}
