//! The workspace that an import goes to.
use super::Error;
use crate::clock::Clock;
use crate::db::pool::PgPool;
use crate::db::source;
use crate::model::Name;
use jiff_sqlx::ToSqlx;
use uuid::Uuid;

/// Under which ids of workspaces follow from their names.
const NAMESPACE: Uuid = Uuid::from_u128(0x5b1f_c1f4_31d8_4a77_9d0e_4e6a_2a9d_70c3);

/// The workspace called `name`: the oldest in use, or one that is made, where the tables are our own.
pub(super) async fn workspace(pool: &PgPool, clock: &Clock, name: &Name) -> Result<Uuid, Error> {
    let source = pool.source().await?;
    let by_name =
        "select w.id from public.workspace w where w.name = $1 order by w.deleted_at is not null, w.created_at, w.id limit 1";
    if let Some(id) = sqlx::query_scalar(source.sql(by_name)).bind(name.as_str()).fetch_optional(pool).await? {
        return Ok(id);
    }
    if !source.table(source::Name::Workspace).is_ours {
        let reason =
            format!("names {:?}, which is no workspace; in an adopted database its own application makes them", name.as_str());
        return Err(Error::Option { what: "--workspace", reason });
    }
    let id = Uuid::new_v5(&NAMESPACE, name.as_str().as_bytes());
    let (slug, unique_slug) = (slug(name), format!("{}-{}", slug(name), &id.simple().to_string()[..8]));
    // A second attempt finds the slug taken that somebody else took during the first.
    for _ in 0..2 {
        sqlx::query(include_str!("workspace_create.sql"))
            .bind(id)
            .bind(name.as_str())
            .bind(&slug)
            .bind(&unique_slug)
            .bind(clock.now().to_sqlx())
            .execute(pool)
            .await?;
        // One that was made under this name before and is called otherwise now is still the one.
        let made = sqlx::query_scalar("select id from public.workspace where id = $1").bind(id).fetch_optional(pool).await?;
        if let Some(id) = made {
            return Ok(id);
        }
    }
    Err(sqlx::Error::RowNotFound.into())
}

/// `Acme Inc.` becomes `acme-inc`.
fn slug(name: &Name) -> String {
    let lower = name.as_str().to_lowercase();
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() { "workspace".to_owned() } else { words.join("-") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{adopted_database, database};
    use futures_util::future::join_all;

    #[tokio::test]
    async fn a_name_means_one_workspace_to_all_who_ask_at_once() {
        let database = database().await;
        let name = |text| Name::parse(text).unwrap();
        let (acme, clock) = (name("Acme Inc."), Clock::system());
        let ids = join_all((0..8).map(|_| workspace(&database.pool, &clock, &acme))).await;
        let first = ids[0].as_ref().unwrap();
        assert!(ids.iter().all(|id| id.as_ref().unwrap() == first));
        let other = workspace(&database.pool, &clock, &name("acme inc")).await.unwrap();
        assert_ne!(other, *first);
        let slugs: Vec<String> =
            sqlx::query_scalar("select slug from public.workspace order by created_at").fetch_all(&database.pool).await.unwrap();
        assert_eq!(slugs[0], "acme-inc");
        assert!(slugs[1].starts_with("acme-inc-"), "{slugs:?}");
    }

    #[tokio::test]
    async fn a_workspace_of_somebody_else_s_is_found_and_none_is_made() {
        let database = adopted_database().await;
        let name = |text| Name::parse(text).unwrap();
        let found = workspace(&database.pool, &Clock::system(), &name("one")).await.unwrap();
        assert_eq!(found, Uuid::from_u128(0x4000_8000_0000_0000_0001));
        let error = workspace(&database.pool, &Clock::system(), &name("two")).await.unwrap_err().to_string();
        assert!(error.starts_with("--workspace names \"two\", which is no workspace"), "{error}");
    }

    #[test]
    fn slugs_are_made_of_any_name() {
        assert_eq!(slug(&Name::parse("azure-llm_conv 2").unwrap()), "azure-llm-conv-2");
        assert_eq!(slug(&Name::parse("日本").unwrap()), "workspace");
    }
}
