//! What is known of source tables, ours and somebody else's.
use super::{Name, Source};
use crate::testing::{self, TestDatabase};
use sqlx::{AssertSqlSafe, Executor};

async fn read(database: &TestDatabase) -> Source {
    Source::read(&database.pool).await.unwrap()
}

#[tokio::test]
async fn our_own_tables_are_asked_by_the_statements_as_they_stand() {
    let database = testing::database().await;
    let source = read(&database).await;
    assert!(source.is_ours() && !source.is_old());
    let question = "select from public.agent a";
    assert!(matches!(source.sql(question).0, std::borrow::Cow::Borrowed(same) if same == question));
    for name in Name::ALL {
        assert_eq!(source.would_stay(name), None, "{name:?}");
    }
    // What others have added, and what we can fill, changes nothing.
    database
        .pool
        .execute("alter table public.agent add column instructions text, add column rank int not null default 1")
        .await
        .unwrap();
    assert!(read(&database).await.is_ours());
}

#[tokio::test]
async fn whatever_our_statements_could_not_do_makes_a_table_another_s() {
    let changes = [
        (Name::Usage, "alter table public.task_usage drop column sequence"),
        (Name::Usage, "alter table public.task_usage drop constraint task_usage_task_id_provider_model_event_key_key"),
        (Name::Usage, "alter table public.task_usage alter cost_usd_ticks set default 0, alter cost_usd_ticks set not null"),
        (Name::Usage, "alter table public.task_usage add column team uuid not null"),
        (Name::Usage, "alter table public.task_usage alter event_key drop default"),
        (Name::Task, "alter table public.agent_task_queue alter runtime_id set not null"),
        (Name::Agent, "alter table public.agent alter name type varchar(200)"),
        (Name::Project, "alter table public.project drop column labels"),
        (Name::Issue, "alter table public.issue drop column deleted_at"),
        (Name::Workspace, "alter table public.workspace drop column slug"),
        (Name::Runtime, "alter table public.agent_runtime alter created_at type timestamp"),
    ];
    for (name, change) in changes {
        let database = testing::database().await;
        database.pool.execute(change).await.unwrap();
        let source = read(&database).await;
        let others: Vec<Name> = Name::ALL.into_iter().filter(|name| !source.table(*name).is_ours).collect();
        assert_eq!(others, [name], "{change}");
    }
}

#[tokio::test]
async fn rows_stay_behind_where_no_foreign_key_takes_them_along() {
    let database = testing::adopted_database().await;
    assert_eq!(read(&database).await.would_stay(Name::Workspace), None);
    database.pool.execute("alter table public.task_usage drop constraint task_usage_task_id_fkey").await.unwrap();
    let source = read(&database).await;
    for name in [Name::Workspace, Name::Runtime, Name::Agent, Name::Issue, Name::Task] {
        let why = source.would_stay(name).unwrap();
        assert!(why.starts_with("public.task_usage.task_id"), "{name:?}: {why}");
    }
    assert_eq!(source.would_stay(Name::Project), None, "issues lose their project and stay");
}

#[tokio::test]
async fn the_planner_takes_apart_what_stands_in_the_place_of_a_table() {
    let database = testing::adopted_database().await;
    let source = read(&database).await;
    let question = source.sql("select e.id from public.issue e where e.id = '00000000-0000-4000-8000-000000000006'").0;
    let mut connection = database.connect().await;
    connection.execute("set enable_seqscan = off").await.unwrap();
    let explain = AssertSqlSafe(format!("explain {question}"));
    let plan: Vec<String> = sqlx::query_scalar(explain).fetch_all(&mut connection).await.unwrap();
    assert!(plan.iter().any(|line| line.contains("issue_pkey")), "{plan:?}");
    assert!(!plan.iter().any(|line| line.contains("Subquery Scan")), "{plan:?}");
}

#[tokio::test]
async fn every_name_has_its_table() {
    let database = testing::adopted_database().await;
    let source = read(&database).await;
    assert!(Name::ALL.iter().all(|name| source.table(*name).name == Some(*name)));
    assert!(source.table(Name::Task).column("status").unwrap().spelling("Running") == Some("running"));
    assert!(source.table(Name::Task).column("status").unwrap().spelling("paused").is_none());
    assert!(!source.is_ours());
}
