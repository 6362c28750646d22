//! One attempt to store a group: one transaction.
//!
//! Isolation: READ COMMITTED. Lock order: stored tasks, against deletion; new runtimes, agents, issues and tasks; usage; at the end
//! tasks that move, and what has to be made for them alone; each by id or identity. Only the last can cross with another
//! transaction; it is then tried again.
//! Any number of instances may run it at once.
use super::create::{self, Making};
use super::error::Error;
use super::plan::{self, Plan, Target};
use super::queue::{Answer, Batch};
use super::report::{Outcome, Report};
use super::statements::Statements;
use super::usage;
use super::world::World;
use crate::db::error::sqlstate;
use crate::db::pool::PgPool;
use crate::db::source;
use crate::model::occurred::whole_microseconds;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, HashSet};
use uuid::Uuid;

/// A writer of the host's that holds a row for longer than this fails the request that needs the row, and only that one.
const BEGIN: &str = "begin isolation level read committed; set local lock_timeout = '5s'; set local statement_timeout = '15s'";

/// Why an attempt failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Somebody else has just made what was to be made: try again.
    #[error("somebody else has just made what was to be made")]
    Raced,
    /// It lost against another transaction: try again.
    #[error(transparent)]
    Lost(sqlx::Error),
    /// Trying again at once would not help.
    #[error(transparent)]
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        // serialization_failure, deadlock_detected; foreign_key_violation: what the plan had found has been purged since.
        match sqlstate(&error).as_deref() {
            Some("40001" | "40P01" | "23503") => Self::Lost(error),
            _ => Self::Database(error),
        }
    }
}

/// A report of a group, with where it came from.
#[derive(Clone, Copy)]
pub(super) struct Item<'a> {
    /// The batch, by its place in the group.
    pub(super) batch: usize,
    /// The report's place in its batch.
    pub(super) index: usize,
    pub(super) report: &'a Report,
    /// Whether its usage was sealed.
    pub(super) is_sealed: bool,
}

/// Stores what `batches` ask for, and answers each of them, in their order.
pub(super) async fn store(pool: &PgPool, now: Timestamp, batches: &[&Batch]) -> Result<Vec<Answer>, Failure> {
    let statements = Statements::of(pool.source().await?);
    match store_with(pool, &statements, now, batches).await {
        Err(Failure::Database(error)) if source::is_out_of_date(&error) => {
            pool.forget_source();
            Err(Failure::Lost(error))
        }
        stored => stored,
    }
}

async fn store_with(pool: &PgPool, statements: &Statements, now: Timestamp, batches: &[&Batch]) -> Result<Vec<Answer>, Failure> {
    let mut tx = pool.begin_with(BEGIN).await?;
    let world = World::load(&mut tx, statements, batches).await?;
    let plan = plan::make(&world, statements, batches);
    let items = clean_items(batches, &world, &plan);
    let default_time = default_time(now, &items);

    let mut making = Making::new(&plan.missing);
    for item in items.iter().filter(|item| plan.new_tasks.contains_key(&item.report.task_id)) {
        making.add(plan.target(*item));
    }
    making.make(&mut tx, statements, default_time).await?;
    create::tasks(&mut tx, statements, &plan.new_tasks, default_time).await?;

    let outcomes = usage::put(&mut tx, statements, &items, default_time).await?;

    let moves = moves(&items, &outcomes, &world, &plan);
    let mut made_late = Making::after(making);
    for target in moves.values() {
        made_late.add(*target);
    }
    made_late.make(&mut tx, statements, default_time).await?;
    create::move_tasks(&mut tx, &moves).await?;
    tx.commit().await?;
    Ok(answers(plan, &items, outcomes))
}

fn clean_items<'a>(batches: &[&'a Batch], world: &World, plan: &Plan) -> Vec<Item<'a>> {
    let mut items = Vec::new();
    for (number, batch) in batches.iter().enumerate().filter(|(number, _)| plan.targets[*number].is_ok()) {
        items.extend(batch.reports.iter().enumerate().map(|(index, report)| {
            let is_sealed = world.sealed.contains(&(number, index));
            Item { batch: number, index, report, is_sealed }
        }));
    }
    items
}

/// The time of reports that name none: now, or the next microsecond that no report of the group names, so that
/// the statement that stores them can tell it from a time that was named.
fn default_time(now: Timestamp, items: &[Item<'_>]) -> Timestamp {
    let named: HashSet<Timestamp> =
        items.iter().filter_map(|item| item.report.occurred_at).map(crate::model::OccurredAt::get).collect();
    let mut time = whole_microseconds(now);
    while named.contains(&time) {
        time = time.saturating_add(SignedDuration::from_micros(1)).unwrap_or(time);
    }
    time
}

/// Where tasks go that their applied reports place elsewhere than they are; the last word on each column counts.
fn moves(items: &[Item<'_>], outcomes: &[Outcome], world: &World, plan: &Plan) -> BTreeMap<Uuid, Target> {
    let mut moves: BTreeMap<Uuid, Target> = BTreeMap::new();
    for (item, outcome) in items.iter().zip(outcomes) {
        let task = item.report.task_id;
        if outcome.is_applied() && world.tasks.contains_key(&task) {
            moves.entry(task).or_default().overlay(plan.target(*item));
        }
    }
    moves.retain(|task, target| target.differs_from(&world.tasks[task]));
    moves
}

fn answers(plan: Plan, items: &[Item<'_>], outcomes: Vec<Outcome>) -> Vec<Answer> {
    let mut answers: Vec<Answer> =
        plan.targets.into_iter().map(|targets| targets.map(|_| Vec::new()).map_err(Error::Invalid)).collect();
    for (item, outcome) in items.iter().zip(outcomes) {
        if let Ok(answer) = &mut answers[item.batch] {
            answer.push(outcome);
        }
    }
    answers
}
