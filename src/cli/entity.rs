//! Workspaces and runtimes as people type them: by id, by slug or by name.
use crate::db::pool::PgPool;
use uuid::Uuid;

/// Why a word names nothing that we could take.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// Nothing is called so.
    #[error("there is no {kind} {word:?}; name it by {by}")]
    Unknown {
        /// What was looked for.
        kind: &'static str,
        /// What was typed.
        word: String,
        /// How it can be named.
        by: &'static str,
    },
    /// Several things are called so.
    #[error("{word:?} names {count} {kind}s: {ids}; say which one by its id")]
    Ambiguous {
        /// What was looked for.
        kind: &'static str,
        /// What was typed.
        word: String,
        /// How many there are.
        count: usize,
        /// Their ids.
        ids: String,
    },
    /// The database refused or went away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// The workspace that `word` names.
pub(super) async fn workspace(pool: &PgPool, word: &str) -> Result<Uuid, Error> {
    let question = "select w.id from public.workspace w where w.id = $1 or w.slug = $2 or w.name = $2 order by w.id";
    let found =
        sqlx::query_scalar(pool.source().await?.sql(question)).bind(word.parse::<Uuid>().ok()).bind(word).fetch_all(pool).await?;
    one(&found, "workspace", "id, slug or name", word)
}

/// The runtime that `word` names, in `workspace` if one is given.
pub(super) async fn runtime(pool: &PgPool, workspace: Option<Uuid>, word: &str) -> Result<Uuid, Error> {
    let question = "select r.id from public.agent_runtime r
        where (r.id = $1 or r.name = $2) and ($3::uuid is null or r.workspace_id = $3) order by r.id";
    let found = sqlx::query_scalar(pool.source().await?.sql(question))
        .bind(word.parse::<Uuid>().ok())
        .bind(word)
        .bind(workspace)
        .fetch_all(pool)
        .await?;
    one(&found, "runtime", "id or name", word)
}

fn one(found: &[Uuid], kind: &'static str, by: &'static str, word: &str) -> Result<Uuid, Error> {
    match found {
        [] => Err(Error::Unknown { kind, word: word.to_owned(), by }),
        [id] => Ok(*id),
        several => {
            let ids = several.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ");
            Err(Error::Ambiguous { kind, word: word.to_owned(), count: several.len(), ids })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn a_name_that_several_have_is_refused_with_their_ids() {
        let pool = &testing::database().await.pool;
        let (a, b, first, second) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3), Uuid::from_u128(4));
        for (id, slug) in [(a, "acme"), (b, "beta")] {
            sqlx::query("insert into public.workspace (id, name, slug) values ($1, 'Shared name', $2)")
                .bind(id)
                .bind(slug)
                .execute(pool)
                .await
                .unwrap();
        }
        for (id, owner) in [(first, a), (second, b)] {
            sqlx::query("insert into public.agent_runtime (id, workspace_id, name) values ($1, $2, 'laptop')")
                .bind(id)
                .bind(owner)
                .execute(pool)
                .await
                .unwrap();
        }
        assert_eq!(workspace(pool, "beta").await.unwrap(), b);
        assert_eq!(workspace(pool, &a.to_string()).await.unwrap(), a);
        let error = workspace(pool, "Shared name").await.unwrap_err().to_string();
        assert!(error.contains(&a.to_string()) && error.contains(&b.to_string()), "{error}");
        assert!(matches!(workspace(pool, "gamma").await, Err(Error::Unknown { .. })));
        assert_eq!(runtime(pool, Some(b), "laptop").await.unwrap(), second);
        assert!(matches!(runtime(pool, None, "laptop").await, Err(Error::Ambiguous { count: 2, .. })));
        assert!(matches!(runtime(pool, Some(b), &first.to_string()).await, Err(Error::Unknown { .. })));
    }
}
