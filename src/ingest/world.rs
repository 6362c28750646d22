//! What a group's reports are about, as the database has it now.
use super::queue::Batch;
use super::report::{Reference, TaskPlace};
use super::statements::Statements;
use crate::db::session::Session;
use crate::model::id::{Kind, derived};
use std::collections::{BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// How many times something that was made by a name may have been moved to other workspaces.
const GENERATIONS_MAX: u32 = 16;

/// The stored tasks, runtimes, agents, issues and workspaces that a group names.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) tasks: HashMap<Uuid, Standing>,
    pub(super) entities: HashMap<(Kind, Uuid), Entity>,
    pub(super) workspaces: HashSet<Uuid>,
    /// Which id a name means in a workspace: one of `entities`, or the id under which it is to be made.
    pub(super) names: HashMap<Named, Uuid>,
    /// For each batch and report, the workspace of what its [`TaskPlace`] names, if anything says it.
    pub(super) homes: Vec<Vec<Option<Uuid>>>,
    /// Reports, by batch and place in it, whose usage was sealed.
    pub(super) sealed: HashSet<(usize, usize)>,
}

/// A name within a workspace.
pub(super) type Named = (Kind, Uuid, String);

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(super) struct Standing {
    /// The agent's.
    #[sqlx(rename = "workspace_id")]
    pub(super) workspace: Uuid,
    #[sqlx(rename = "agent_id")]
    pub(super) agent: Uuid,
    #[sqlx(rename = "runtime_id")]
    pub(super) runtime: Option<Uuid>,
    #[sqlx(rename = "issue_id")]
    pub(super) issue: Option<Uuid>,
}

#[derive(sqlx::FromRow)]
struct TaskRow {
    id: Uuid,
    #[sqlx(flatten)]
    standing: Standing,
}

/// A runtime, an agent or an issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entity {
    pub(super) workspace: Uuid,
    /// An agent's.
    pub(super) runtime: Option<Uuid>,
}

impl World {
    /// Looks up all that `batches` name.
    pub(super) async fn load(
        connection: &mut Session<'_>,
        statements: &Statements,
        batches: &[&Batch],
    ) -> Result<Self, sqlx::Error> {
        let mut world = Self::default();
        world.load_tasks(connection, batches).await?;
        world.load_sealed(connection, statements, batches).await?;
        world.load_entities(connection, statements, referred_ids(batches)).await?;
        world.find_homes(batches);
        world.load_workspaces(connection).await?;
        let names = world.referred_names(batches);
        world.load_names(connection, statements, names).await?;
        Ok(world)
    }

    async fn load_tasks(&mut self, connection: &mut Session<'_>, batches: &[&Batch]) -> Result<(), sqlx::Error> {
        let ids: BTreeSet<Uuid> = batches.iter().flat_map(|batch| &batch.reports).map(|report| report.task_id).collect();
        let rows: Vec<TaskRow> =
            sqlx::query_as(include_str!("tasks_stored.sql")).bind(Vec::from_iter(ids)).fetch_all(connection).await?;
        self.tasks.extend(rows.into_iter().map(|row| (row.id, row.standing)));
        Ok(())
    }

    /// After the tasks: as long as they are locked, nothing of theirs is sealed.
    async fn load_sealed(
        &mut self,
        connection: &mut Session<'_>,
        statements: &Statements,
        batches: &[&Batch],
    ) -> Result<(), sqlx::Error> {
        let numbered =
            || batches.iter().enumerate().flat_map(|(batch, of)| of.reports.iter().enumerate().map(move |r| (batch, r)));
        let places: Vec<(usize, usize)> = numbered().map(|(batch, (index, _))| (batch, index)).collect();
        let reports = || numbered().map(|(_, (_, report))| report);
        let ordinals: Vec<i64> = sqlx::query_scalar(include_str!("usage_sealed.sql"))
            .bind(reports().map(|r| r.task_id).collect::<Vec<_>>())
            .bind(reports().map(|r| statements.provider(r)).collect::<Vec<_>>())
            .bind(reports().map(|r| r.model.as_str()).collect::<Vec<_>>())
            .bind(reports().map(|r| r.event_key.as_str()).collect::<Vec<_>>())
            .fetch_all(connection)
            .await?;
        for ordinal in ordinals {
            let place = usize::try_from(ordinal - 1).map_err(|_| sqlx::Error::RowNotFound)?;
            self.sealed.insert(places[place]);
        }
        Ok(())
    }

    async fn load_entities(
        &mut self,
        connection: &mut Session<'_>,
        statements: &Statements,
        ids: impl IntoIterator<Item = (Kind, Uuid)>,
    ) -> Result<(), sqlx::Error> {
        let mut of_kind: HashMap<Kind, Vec<Uuid>> = HashMap::new();
        ids.into_iter().for_each(|(kind, id)| of_kind.entry(kind).or_default().push(id));
        if of_kind.is_empty() {
            return Ok(());
        }
        let mut ids = |kind| of_kind.remove(&kind).unwrap_or_default();
        let rows: Vec<(String, Uuid, Uuid, Option<Uuid>)> = sqlx::query_as(statements.sql(include_str!("entities_by_id.sql")))
            .bind(ids(Kind::Runtime))
            .bind(ids(Kind::Agent))
            .bind(ids(Kind::Issue))
            .fetch_all(connection)
            .await?;
        for (kind, id, workspace, runtime) in rows {
            let kind = kind.parse().map_err(|_| sqlx::Error::RowNotFound)?;
            self.entities.insert((kind, id), Entity { workspace, runtime });
        }
        Ok(())
    }

    /// The workspace that is named; else the caller's only one; else that of what exists, the agent first, the task last.
    fn find_homes(&mut self, batches: &[&Batch]) {
        let mut task_homes: HashMap<Uuid, Uuid> = self.tasks.iter().map(|(id, task)| (*id, task.workspace)).collect();
        for batch in batches {
            let homes = batch.reports.iter().map(|report| {
                let place = report.task.as_ref()?;
                let of_entity = |(kind, reference): (Kind, &Reference)| match reference {
                    Reference::Id(id, _) => self.entities.get(&(kind, *id)).map(|entity| entity.workspace),
                    Reference::Name(_) => None,
                };
                let home = place
                    .workspace_id
                    .or(batch.workspace)
                    .or_else(|| place.references().find_map(of_entity))
                    .or_else(|| task_homes.get(&report.task_id).copied())?;
                task_homes.entry(report.task_id).or_insert(home);
                Some(home)
            });
            self.homes.push(homes.collect());
        }
    }

    async fn load_workspaces(&mut self, connection: &mut Session<'_>) -> Result<(), sqlx::Error> {
        let ids: BTreeSet<Uuid> = self.homes.iter().flatten().flatten().copied().collect();
        if ids.is_empty() {
            return Ok(());
        }
        let query = sqlx::query_scalar("select id from public.workspace where id = any ($1)").bind(Vec::from_iter(ids));
        let found: Vec<Uuid> = query.fetch_all(connection).await?;
        self.workspaces.extend(found);
        Ok(())
    }

    fn referred_names(&self, batches: &[&Batch]) -> BTreeSet<Named> {
        let mut names = BTreeSet::new();
        for (batch, homes) in batches.iter().zip(&self.homes) {
            for (report, home) in batch.reports.iter().zip(homes) {
                let (Some(place), Some(home)) = (&report.task, home) else { continue };
                for (kind, reference) in place.references() {
                    if let Reference::Name(name) = reference {
                        names.insert((kind, *home, name.to_string()));
                    }
                }
            }
        }
        names
    }

    /// Finds names among the names, else under the ids that follow from them.
    async fn load_names(
        &mut self,
        connection: &mut Session<'_>,
        statements: &Statements,
        names: BTreeSet<Named>,
    ) -> Result<(), sqlx::Error> {
        if names.is_empty() {
            return Ok(());
        }
        let mut names = Vec::from_iter(names);
        let rows: Vec<(i64, Uuid, Option<Uuid>)> = sqlx::query_as(statements.sql(include_str!("entities_by_name.sql")))
            .bind(names.iter().map(|(kind, ..)| kind.name()).collect::<Vec<_>>())
            .bind(names.iter().map(|(_, workspace, _)| *workspace).collect::<Vec<_>>())
            .bind(names.iter().map(|(.., name)| name.as_str()).collect::<Vec<_>>())
            .fetch_all(&mut *connection)
            .await?;
        for (ordinal, id, runtime) in rows {
            let place = usize::try_from(ordinal - 1).map_err(|_| sqlx::Error::RowNotFound)?;
            let found = names[place].clone();
            self.entities.insert((found.0, id), Entity { workspace: found.1, runtime });
            self.names.insert(found, id);
        }
        names.retain(|named| !self.names.contains_key(named));
        for generation in 0..GENERATIONS_MAX {
            let ids = |(kind, workspace, name): &Named| (*kind, derived(*workspace, *kind, name, generation));
            self.load_entities(connection, statements, names.iter().map(ids)).await?;
            self.names.extend(names.iter().map(|named| (named.clone(), ids(named).1)));
            names.retain(|named| self.entities.get(&ids(named)).is_some_and(|entity| entity.workspace != named.1));
            if names.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

impl TaskPlace {
    /// What is named, with its kind; what decides the workspace first.
    pub(super) fn references(&self) -> impl Iterator<Item = (Kind, &Reference)> {
        [(Kind::Agent, &self.agent), (Kind::Runtime, &self.runtime), (Kind::Issue, &self.issue)]
            .into_iter()
            .filter_map(|(kind, reference)| Some((kind, reference.as_ref()?)))
    }
}

fn referred_ids(batches: &[&Batch]) -> BTreeSet<(Kind, Uuid)> {
    let places = batches.iter().flat_map(|batch| &batch.reports).filter_map(|report| report.task.as_ref());
    let ids = places.flat_map(TaskPlace::references).filter_map(|(kind, reference)| match reference {
        Reference::Id(id, _) => Some((kind, *id)),
        Reference::Name(_) => None,
    });
    ids.collect()
}
