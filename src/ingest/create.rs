//! Makes what is missing, and moves tasks.
//!
//! Every statement writes in order of id. A row that somebody else made between the look-up and here means that the plan is out
//! of date: the attempt is given up, and the next one finds the row.
use super::plan::{Missing, NewTask, Target};
use super::statements::Statements;
use super::transaction::Failure;
use crate::db::session::Session;
use crate::model::id::Kind;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Collects what has to be made of all that is missing.
pub(super) struct Making<'a> {
    missing: &'a BTreeMap<(Kind, Uuid), Missing>,
    /// With an agent's runtime.
    needed: BTreeMap<(Kind, Uuid), Option<Uuid>>,
    made: BTreeSet<(Kind, Uuid)>,
}

impl<'a> Making<'a> {
    pub(super) fn new(missing: &'a BTreeMap<(Kind, Uuid), Missing>) -> Self {
        Self { missing, needed: BTreeMap::new(), made: BTreeSet::new() }
    }

    /// Goes on after `before` has been made.
    pub(super) fn after(before: Self) -> Self {
        Self { missing: before.missing, needed: BTreeMap::new(), made: before.needed.into_keys().collect() }
    }

    /// All that `target` names is needed.
    pub(super) fn add(&mut self, target: Target) {
        let named = [(Kind::Runtime, target.runtime), (Kind::Agent, target.agent), (Kind::Issue, target.issue)];
        for (kind, id) in named {
            let Some(key) = id.map(|id| (kind, id)) else { continue };
            if self.missing.contains_key(&key) && !self.made.contains(&key) {
                let runtime = self.needed.entry(key).or_default();
                *runtime = runtime.or(target.runtime);
            }
        }
    }

    /// Makes what is needed.
    pub(super) async fn make(
        &self,
        connection: &mut Session<'_>,
        statements: &Statements,
        now: Timestamp,
    ) -> Result<(), Failure> {
        for kind in [Kind::Runtime, Kind::Agent, Kind::Issue] {
            self.make_kind(connection, statements, kind, now).await?;
        }
        Ok(())
    }

    async fn make_kind(
        &self,
        connection: &mut Session<'_>,
        statements: &Statements,
        kind: Kind,
        now: Timestamp,
    ) -> Result<(), Failure> {
        let needed: Vec<_> = self.needed.iter().filter(|((k, _), _)| *k == kind).collect();
        if needed.is_empty() {
            return Ok(());
        }
        let missing = || needed.iter().map(|(key, _)| &self.missing[*key]);
        let mut query = sqlx::query(statements.make(kind).ok_or(sqlx::Error::RowNotFound)?)
            .bind(needed.iter().map(|((_, id), _)| *id).collect::<Vec<_>>())
            .bind(missing().map(|new| new.workspace).collect::<Vec<_>>())
            .bind(missing().map(|new| new.name.as_str()).collect::<Vec<_>>())
            .bind(now.to_sqlx());
        if kind == Kind::Agent {
            query = query.bind(needed.iter().map(|(_, runtime)| **runtime).collect::<Vec<_>>());
        }
        expect_all(query.execute(connection).await?.rows_affected(), needed.len())
    }
}

/// Makes `new` tasks.
pub(super) async fn tasks(
    connection: &mut Session<'_>,
    statements: &Statements,
    new: &BTreeMap<Uuid, NewTask>,
    now: Timestamp,
) -> Result<(), Failure> {
    if new.is_empty() {
        return Ok(());
    }
    let made = sqlx::query(statements.make_tasks().ok_or(sqlx::Error::RowNotFound)?)
        .bind(new.keys().copied().collect::<Vec<_>>())
        .bind(new.values().map(|task| task.standing.agent).collect::<Vec<_>>())
        .bind(new.values().map(|task| task.standing.runtime).collect::<Vec<_>>())
        .bind(new.values().map(|task| task.standing.issue).collect::<Vec<_>>())
        .bind(new.values().map(|task| task.since.unwrap_or(now).to_sqlx()).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    expect_all(made.rows_affected(), new.len())
}

/// Moves stored tasks.
pub(super) async fn move_tasks(connection: &mut Session<'_>, moves: &BTreeMap<Uuid, Target>) -> Result<(), sqlx::Error> {
    if moves.is_empty() {
        return Ok(());
    }
    sqlx::query(include_str!("tasks_move.sql"))
        .bind(moves.keys().copied().collect::<Vec<_>>())
        .bind(moves.values().map(|target| target.agent).collect::<Vec<_>>())
        .bind(moves.values().map(|target| target.runtime).collect::<Vec<_>>())
        .bind(moves.values().map(|target| target.issue).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}

fn expect_all(made: u64, wanted: usize) -> Result<(), Failure> {
    if usize::try_from(made) == Ok(wanted) { Ok(()) } else { Err(Failure::Raced) }
}
