//! Usage of an issue, by provider and model, and how many tasks that was.
use super::answer::{ask, complete_from, head};
use super::{Answer, ModelUsage, Source};
use crate::db::pool::PgPool;
use crate::entity::Issue;
use uuid::Uuid;

/// What was used for the issue, as far back as usage is known by its task. Usage is its agents' workspaces': one that is bound to the issue's workspace
/// sees what that workspace's agents used.
pub async fn issue_usage(pool: &PgPool, viewer: Option<Uuid>, id: Uuid) -> Result<Option<Answer<ModelUsage>>, super::Error> {
    let answer = ask(pool, |mut snapshot, source| async move {
        let Some(head) = head::<Issue>(&mut snapshot, &source, viewer, id).await? else { return Ok(None) };
        let items = sqlx::query_as(include_str!("of_issue.sql")).bind(id).bind(viewer).fetch_all(&mut *snapshot).await?;
        let task_count: i64 = sqlx::query_scalar(
            "select count(distinct u.task_id) from tallybook.contribution() u
             where u.issue_id = $1 and ($2::uuid is null or u.workspace_id = $2)",
        )
        .bind(id)
        .bind(viewer)
        .fetch_one(&mut *snapshot)
        .await?;
        let complete_from = complete_from(&mut snapshot).await?;
        let answer = head.answer::<Issue, _>(id, Source::Raw, None, items);
        Ok(Some(Answer { complete_from, task_count: Some(task_count), ..answer }))
    });
    Ok(answer.await?)
}
