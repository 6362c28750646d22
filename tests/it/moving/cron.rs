//! The schedule's way over and back where pg_cron runs the usual design's tick.
use super::USUAL;
use crate::cli::transcript;
use crate::schedule::cluster::{Cluster, DATABASE, pg_cron_in, wait_until};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tallybook::db::pool::PgPool;
use tallybook::rollup::verify;

/// Qualified: our role bears the name of our schema, which comes first in its search path.
const JOB: &str = "select public.rollup_task_usage_daily()";

fn told(cluster: &Cluster, command: &str) -> String {
    transcript(&mut cluster.on(&[&["adopt", "usual-design"], &command.split(' ').collect::<Vec<_>>()[..]].concat()))
}

/// Makes the usual design with its job, in whichever database pg_cron works.
async fn usual(cluster: &Cluster, works_in: &str) -> PgPool {
    assert!(cluster.on(&["migrate", "up"]).status().unwrap().success());
    let pool = cluster.pool();
    pool.execute(USUAL).await.unwrap();
    pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    pool.execute("update public.task_usage set updated_at = now() - interval '1 hour'").await.unwrap();
    cluster.create_pg_cron(works_in).await;
    let mut cron = connect(cluster, works_in).await;
    for (name, schedule, command) in [("rollup", "@reboot", JOB), ("vacuum", "0 3 * * *", "vacuum analyze task_usage")] {
        sqlx::query("select cron.schedule_in_database($1, $2, $3, $4)")
            .bind(name)
            .bind(schedule)
            .bind(command)
            .bind(DATABASE)
            .execute(&mut cron)
            .await
            .unwrap();
    }
    pool
}

async fn connect(cluster: &Cluster, database: &str) -> PgConnection {
    PgConnection::connect_with(&cluster.options().database(database)).await.unwrap()
}

async fn jobs(cluster: &Cluster, works_in: &str) -> Vec<String> {
    let mut cron = connect(cluster, works_in).await;
    sqlx::query_scalar("select format('%s %s %s %s %s', jobid, jobname, schedule, command, active) from cron.job order by jobid")
        .fetch_all(&mut cron)
        .await
        .unwrap()
}

#[tokio::test]
async fn m09_the_old_job_is_disabled_as_ours_is_scheduled_and_comes_back_as_it_was() {
    let mut cluster = Cluster::with_pg_cron();
    let pool = usual(&cluster, DATABASE).await;
    let before = jobs(&cluster, DATABASE).await;
    assert_eq!(before.len(), 2);

    // Ours cannot be scheduled: the old one stays enabled.
    let refused = told(&cluster, "switch --every never");
    assert!(refused.contains("invalid schedule: never") && refused.ends_with("--- exit 2\n"), "{refused}");
    assert_eq!(jobs(&cluster, DATABASE).await, before);

    insta::assert_snapshot!(told(&cluster, "switch --every @reboot"), @r#"
    disabled job 1: select public.rollup_task_usage_daily() at "@reboot"
    Tallybook folds by a job of pg_cron; `tallybook schedule pg-cron status` shows it.
    --- exit 0
    "#);
    let switched = jobs(&cluster, DATABASE).await;
    assert_eq!(switched[0], before[0].replace(" t", " f"));
    assert_eq!(switched[1], before[1]);
    assert!(switched[2].ends_with(" tallybook tallybook @reboot select tallybook.rollup_task_usage_daily() t"), "{switched:?}");

    // From the next start on ours runs, and the old one does not.
    pool.close().await;
    cluster.restart();
    let pool = cluster.pool();
    wait_until(
        &pool,
        "select exists (select from cron.job_run_details where status = 'succeeded' and command like '%tallybook.%')",
    )
    .await;
    let folded: (bool, i64) = sqlx::query_as("select not tallybook.is_pending(), (select count(*) from public.task_usage_daily)")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(folded, (true, 0));
    assert!(verify::verify(&pool).await.unwrap().exact());

    insta::assert_snapshot!(told(&cluster, "back"), @r#"
    enabled job 1: select public.rollup_task_usage_daily() at "@reboot"
    The usual design is in charge again.
    --- exit 0
    "#);
    assert_eq!(jobs(&cluster, DATABASE).await, before);
    pool.close().await;
    cluster.restart();
    let pool = cluster.pool();
    wait_until(&pool, "select exists (select from public.task_usage_daily)").await;
    assert!(told(&cluster, "report").contains("Its table equals the raw rows: 1 key compared."));

    // Over again, and for good: its jobs go with its objects, and others' stay.
    assert!(told(&cluster, "switch").ends_with("--- exit 0\n"));
    let dropped = told(&cluster, "drop-old --yes");
    assert!(
        dropped.contains("dropped table public.task_usage_daily\n") && dropped.contains("\ndropped job 1 of pg_cron: "),
        "{dropped}"
    );
    let left = jobs(&cluster, DATABASE).await;
    assert_eq!((left.len(), &left[0]), (2, &before[1]));
    assert!(left[1].contains("tallybook.rollup_task_usage_daily()"));
    assert!(verify::verify(&pool).await.unwrap().exact());
}

#[tokio::test]
async fn a_switch_that_was_killed_halfway_is_finished_or_taken_back() {
    let cluster = Cluster::start(&pg_cron_in("postgres"));
    let pool = usual(&cluster, "postgres").await;
    let before = jobs(&cluster, "postgres").await;
    for (step, halfway) in
        [("written down, not done", "select"), ("done, not noted as done", "select cron.alter_job(1, active := false)")]
    {
        for end in ["switch", "back"] {
            let noted = format!(
                "update tallybook.moving_state set begun_at = now(), cron_database = 'postgres', has_own_job = true,
                   disabled_jobs = '[{{\"job_id\": 1, \"name\": \"rollup\", \"schedule\": \"@reboot\", \"command\": \"{JOB}\", \"active\": true}}]'"
            );
            pool.execute(AssertSqlSafe(noted)).await.unwrap();
            connect(&cluster, "postgres").await.execute(halfway).await.unwrap();
            assert!(told(&cluster, end).ends_with("--- exit 0\n"), "{step}, {end}");
            if end == "switch" {
                assert_eq!(jobs(&cluster, "postgres").await.len(), 3, "{step}");
                assert!(told(&cluster, "back").ends_with("--- exit 0\n"), "{step}");
            }
            assert_eq!(jobs(&cluster, "postgres").await, before, "{step}, {end}");
        }
    }
    assert!(told(&cluster, "switch").ends_with("--- exit 0\n"));
    assert!(told(&cluster, "drop-old --yes").contains("dropped job 1 of pg_cron"));
    connect(&cluster, "postgres").await.execute("select cron.unschedule(2)").await.unwrap();
    let gone = told(&cluster, "back");
    assert!(gone.contains("nothing to go back to"), "{gone}");
}

#[tokio::test]
async fn m09_a_job_that_is_gone_or_may_not_be_changed_stops_the_way_back() {
    let cluster = Cluster::with_pg_cron();
    usual(&cluster, DATABASE).await;
    cluster
        .as_superuser(
            DATABASE,
            "revoke execute on function cron.alter_job(bigint, text, text, text, text, boolean) from tallybook",
        )
        .await;
    let refused = told(&cluster, "switch");
    assert!(refused.contains("permission denied for function alter_job") && refused.ends_with("--- exit 2\n"), "{refused}");
    cluster
        .as_superuser(DATABASE, "grant execute on function cron.alter_job(bigint, text, text, text, text, boolean) to tallybook")
        .await;
    assert!(told(&cluster, "switch").ends_with("--- exit 0\n"));
    let switched = jobs(&cluster, DATABASE).await;
    connect(&cluster, DATABASE).await.execute("select cron.unschedule(1)").await.unwrap();
    let gone = told(&cluster, "back");
    assert!(gone.contains("the old job 1 is gone from cron.job") && gone.ends_with("--- exit 2\n"), "{gone}");
    assert_eq!(jobs(&cluster, DATABASE).await, switched[1..], "ours goes on");

    // Scheduled anew, it has another number; one that is disabled does not do.
    let anew = format!("select cron.schedule('rollup', '@reboot', '{JOB}')");
    connect(&cluster, DATABASE).await.execute(AssertSqlSafe(anew)).await.unwrap();
    connect(&cluster, DATABASE).await.execute("select cron.alter_job(4, active := false)").await.unwrap();
    assert!(told(&cluster, "back").contains("the old job 1 is gone from cron.job"));
    connect(&cluster, DATABASE).await.execute("select cron.alter_job(4, active := true)").await.unwrap();
    insta::assert_snapshot!(told(&cluster, "back"), @r#"
    enabled job 4: select public.rollup_task_usage_daily() at "@reboot"
    The usual design is in charge again.
    --- exit 0
    "#);
    let left = jobs(&cluster, DATABASE).await;
    assert!(left.len() == 2 && left.iter().all(|job| !job.contains("tallybook.rollup_task_usage_daily()")), "{left:?}");

    // A switch that was cut off goes on although the job that it was about to disable is gone.
    cluster.pool().execute("update tallybook.moving_state set begun_at = now(), has_own_job = true, disabled_jobs =
        '[{\"job_id\": 99, \"name\": null, \"schedule\": \"@reboot\", \"command\": \"select public.rollup_task_usage_daily()\", \"active\": true}]'")
        .await
        .unwrap();
    assert!(told(&cluster, "switch").ends_with("--- exit 0\n"));
    assert!(jobs(&cluster, DATABASE).await.iter().any(|job| job.starts_with("4 rollup") && job.ends_with(" f")));
}

#[tokio::test]
async fn m09_what_only_looks_does_so_where_pg_cron_is_not_for_us_or_does_not_run() {
    let cluster =
        Cluster::start("max_worker_processes = 0\nshared_preload_libraries = 'pg_cron'\ncron.database_name = 'tallybook'\n");
    let pool = usual(&cluster, DATABASE).await;
    let report = told(&cluster, "report");
    assert!(
        report.contains("  job 1 of pg_cron, at ")
            && report.contains("  unusual: pg_cron's extension is there and its scheduler does not run"),
        "{report}"
    );
    assert!(report.ends_with("--- exit 1\n"), "{report}");
    let listed = told(&cluster, "drop-old");
    assert!(
        listed.contains("would drop job 1 of pg_cron")
            && listed.contains("unusual: pg_cron's extension is there")
            && listed.ends_with("--- exit 0\n"),
        "{listed}"
    );
    // Ours would not run.
    let refused = told(&cluster, "switch");
    assert!(refused.contains("its scheduler does not run") && refused.ends_with("--- exit 2\n"), "{refused}");

    cluster.as_superuser(DATABASE, "revoke usage on schema cron from tallybook").await;
    let report = told(&cluster, "report");
    assert!(
        report.contains("  unusual: jobs of pg_cron cannot be seen: the role tallybook may not use pg_cron")
            && report.ends_with("--- exit 1\n"),
        "{report}"
    );
    let listed = told(&cluster, "drop-old");
    assert!(listed.contains("unusual: jobs of pg_cron cannot be seen") && listed.ends_with("--- exit 0\n"), "{listed}");
    let objects: bool =
        sqlx::query_scalar("select to_regclass('public.task_usage_daily') is not null").fetch_one(&pool).await.unwrap();
    assert!(objects, "nothing was changed");
}
