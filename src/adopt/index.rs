//! The indexes that are missing: built concurrently, one after the other, so that no writer waits.
//!
//! A build that was interrupted leaves an index behind that is written and never read: it is dropped and built anew. Of a partitioned table
//! each partition's index is built by itself, and then attached to the table's, which is valid when it has all of them.
use super::patience::Patience;
use super::{Error, SOURCES};
use sqlx::{AssertSqlSafe, Executor, FromRow, PgConnection};

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
enum State {
    Missing,
    /// Its build was interrupted or, where partitions have it, it lacks some of theirs.
    Invalid,
    Valid,
}

/// An index that is missing, or not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub(super) struct Index {
    name: String,
    qualified_name: String,
    pub(super) relation: String,
    key: String,
    pub(super) key_bytes: i32,
    is_leaf: bool,
    state: State,
    /// The index of the partitioned table that it is to be attached to.
    pub(super) parent: Option<String>,
    is_attached: bool,
}

impl Index {
    /// How it is created, but for the word that it is so concurrently.
    pub(super) fn definition(&self) -> String {
        format!("index {} on {} ({})", self.name, self.relation, self.key)
    }

    /// Whether rows are to be read for it: it has some of its own, and is not valid.
    pub(super) fn is_to_be_filled(&self) -> bool {
        self.is_leaf && self.state != State::Valid
    }

    fn is_done(&self) -> bool {
        self.state == State::Valid && (self.parent.is_none() || self.is_attached)
    }
}

/// All that are to be built, parents first.
pub(super) async fn missing(on: &mut PgConnection) -> Result<Vec<Index>, sqlx::Error> {
    let wanted: Vec<Index> = sqlx::query_as(include_str!("indexes.sql")).fetch_all(on).await?;
    Ok(wanted.into_iter().filter(|index| !index.is_done()).collect())
}

/// Builds them.
pub(super) async fn build(on: &mut PgConnection, patience: Patience, tell: &mut impl FnMut(String)) -> Result<(), Error> {
    let missing = missing(on).await?;
    for index in &missing {
        if index.is_to_be_filled() {
            if index.state == State::Invalid {
                tell(format!("drops index {}, whose build was interrupted", index.name));
                run(on, format!("drop index concurrently if exists {}", index.qualified_name)).await?;
            }
            tell(format!("builds {}", index.definition()));
            run(on, format!("create index concurrently {} on {} ({})", index.name, index.relation, index.key)).await?;
        } else if !index.is_leaf && index.state == State::Missing {
            // Of no table yet: each of its parts is built by itself.
            tell(format!("builds {}, by partitions", index.definition()));
            let sql = format!("create index {} on only {} ({})", index.name, index.relation, index.key);
            patience.run(on, &index.relation, &sql, tell).await?;
        }
    }
    // Children first: an index is valid, and can be attached as such, when all of its parts are.
    for index in missing.iter().rev() {
        if let Some(parent) = &index.parent
            && !index.is_attached
        {
            let sql = format!("alter index {parent} attach partition {}", index.qualified_name);
            patience.run(on, &index.relation, &sql, tell).await?;
        }
    }
    Ok(())
}

/// Drops all of ours, from the source tables and from what was a partition of one.
pub(super) async fn drop_all(on: &mut PgConnection, patience: Patience, tell: &mut impl FnMut(String)) -> Result<(), Error> {
    let names: Vec<String> = SOURCES.iter().map(|source| format!("tallybook\\_{source}\\_%")).collect();
    let ours: Vec<(String, String, bool)> = sqlx::query_as(
        "select format('%s.%I', c.relnamespace::regnamespace, c.relname), i.indrelid::regclass::text, c.relkind = 'I'
         from pg_class c join pg_index i on i.indexrelid = c.oid
         where c.relname like any ($1) and not c.relispartition and c.relnamespace <> coalesce(to_regnamespace('tallybook'), 0::regnamespace)
         order by c.relname",
    )
    .bind(names)
    .fetch_all(&mut *on)
    .await?;
    for (name, table, is_partitioned) in ours {
        tell(format!("drops index {name}"));
        if is_partitioned {
            patience.run(on, &table, &format!("drop index {name}"), tell).await?;
        } else {
            run(on, format!("drop index concurrently {name}")).await?;
        }
    }
    Ok(())
}

/// Outside of a transaction: what is done concurrently has several of its own.
async fn run(on: &mut PgConnection, sql: String) -> Result<(), sqlx::Error> {
    on.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(drop)
}
