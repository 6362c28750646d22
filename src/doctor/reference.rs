//! The schema as the migrations make it, to compare the schema that is there with.
//!
//! The reference is made anew by the migrations themselves, under other names, in a transaction that is rolled back: it cannot be
//! out of date, knows the server's way to write definitions, and follows what is generated: the capture of usage in the form that
//! is installed, the folds and the views of the rollups that are declared. No object that is in use is locked.
use super::Finding;
use crate::db::migrate;
use crate::db::pool::PgPool;
use sqlx::{AssertSqlSafe, Executor};

/// What differs.
pub(super) async fn differences(pool: &PgPool) -> Result<Vec<Finding>, sqlx::Error> {
    let mut tx = pool.begin_with("begin isolation level read committed").await?;
    tx.execute(sqlx::raw_sql(include_str!("reference_begin.sql"))).await?;
    for (_, sql) in migrate::texts() {
        tx.execute(sqlx::raw_sql(AssertSqlSafe(renamed(&sql)))).await?;
    }
    tx.execute(sqlx::raw_sql(include_str!("reference_follow.sql"))).await?;
    let differences = sqlx::query_as(include_str!("reference.sql")).fetch_all(&mut *tx).await?;
    tx.rollback().await?;
    Ok(differences)
}

/// The SQL with our schema, and that of the source tables, under other names. `public` without a dot is a role.
fn renamed(sql: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut renamed = String::with_capacity(sql.len() + sql.len() / 8);
    let mut rest = sql;
    while let Some(start) = rest.find(is_word) {
        let (before, at_word) = rest.split_at(start);
        let (word, after) = at_word.split_at(at_word.find(|c| !is_word(c)).unwrap_or(at_word.len()));
        renamed.push_str(before);
        renamed.push_str(match word {
            "tallybook" => "tallybook_reference",
            "public" if after.starts_with('.') => "tallybook_reference_public",
            other => other,
        });
        rest = after;
    }
    renamed.push_str(rest);
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_names_of_schemas_are_replaced_and_nothing_else() {
        let sql = "create trigger tallybook_insert on public.agent execute tallybook.f('tallybook'::regnamespace); revoke all from public;";
        assert_eq!(
            renamed(sql),
            "create trigger tallybook_insert on tallybook_reference_public.agent execute \
             tallybook_reference.f('tallybook_reference'::regnamespace); revoke all from public;"
        );
    }
}
