//! Usage of an issue, by provider and model, and how many tasks that was.
use super::answer::head;
use super::{Answer, ModelUsage, Source};
use crate::db::snapshot::in_snapshot;
use crate::entity::Issue;
use sqlx::PgPool;
use uuid::Uuid;

/// What was ever used for the issue. Usage is its agents' workspaces': one that is bound to the issue's workspace
/// sees what that workspace's agents used.
pub async fn issue_usage(pool: &PgPool, viewer: Option<Uuid>, id: Uuid) -> Result<Option<Answer<ModelUsage>>, super::Error> {
    let answer = in_snapshot(pool, |mut snapshot| async move {
        let Some(head) = head::<Issue>(&mut snapshot, viewer, id).await? else { return Ok(None) };
        let items = sqlx::query_as(include_str!("of_issue.sql")).bind(id).bind(viewer).fetch_all(&mut *snapshot).await?;
        let task_count: i64 = sqlx::query_scalar(
            "select count(distinct u.task_id) from tallybook.contribution() u
             where u.issue_id = $1 and ($2::uuid is null or u.workspace_id = $2)",
        )
        .bind(id)
        .bind(viewer)
        .fetch_one(&mut *snapshot)
        .await?;
        Ok(Some(Answer { task_count: Some(task_count), ..head.answer::<Issue, _>(id, Source::Raw, None, items) }))
    });
    Ok(answer.await?)
}
