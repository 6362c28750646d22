//! pg_cron present, absent, and everything in between; its errors reach whoever runs the command.
use super::cluster::{Cluster, DATABASE, pg_cron_in, wait_until};
use crate::cli::transcript;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use tallybook::rollup::verify;

fn told(cluster: &Cluster, arguments: &[&str]) -> String {
    transcript(&mut cluster.on(arguments))
}

/// The same, compared with what docs/COMMANDS.md shows of it.
fn is_told_as_documented(cluster: &Cluster, command: &str) {
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!(format!("pg_cron_{command}"), told(cluster, &["schedule", "pg-cron", command]));
    });
}

fn status(cluster: &Cluster) -> Value {
    serde_json::from_slice(&cluster.on(&["schedule", "pg-cron", "status", "--json"]).output().unwrap().stdout).unwrap()
}

#[tokio::test]
async fn m09_where_pg_cron_is_not_there_the_way_to_it_is_said() {
    let cluster = Cluster::start("");
    for command in
        [&["schedule", "pg-cron", "install"][..], &["schedule", "pg-cron", "status"], &["schedule", "pg-cron", "uninstall"]]
    {
        insta::allow_duplicates! {
            insta::assert_snapshot!(told(&cluster, command), @"
            --- standard error
            tallybook: pg_cron is installed and not loaded; set shared_preload_libraries = 'pg_cron' and cron.database_name = 'tallybook', restart PostgreSQL, and run `create extension pg_cron` in that database as a superuser
            --- exit 2
            ");
        }
    }
    drop(cluster);
    let cluster = Cluster::start(&pg_cron_in(DATABASE));
    cluster.as_superuser(DATABASE, "grant pg_read_all_settings to tallybook").await;
    insta::assert_snapshot!(told(&cluster, &["schedule", "pg-cron", "install"]), @"
    --- standard error
    tallybook: pg_cron is loaded and has not been created; run `create extension pg_cron` in the database tallybook as a superuser
    --- exit 2
    ");
    cluster.as_superuser(DATABASE, "create extension pg_cron").await;
    insta::assert_snapshot!(told(&cluster, &["schedule", "pg-cron", "install"]), @"
    --- standard error
    tallybook: the role tallybook may not use pg_cron; run `grant usage on schema cron to tallybook` in the database tallybook as a superuser
    --- exit 2
    ");
    cluster.as_superuser(DATABASE, "grant usage on schema cron to tallybook").await;
    let refused = told(&cluster, &["schedule", "pg-cron", "install", "--every", "every now and then"]);
    assert!(refused.contains("invalid schedule: every now and then") && refused.ends_with("--- exit 2\n"), "{refused}");
    is_told_as_documented(&cluster, "status");
}

#[tokio::test]
async fn m09_an_extension_whose_scheduler_does_not_run_is_no_scheduler() {
    let cluster =
        Cluster::start("max_worker_processes = 0\nshared_preload_libraries = 'pg_cron'\ncron.database_name = 'tallybook'\n");
    cluster.create_pg_cron(DATABASE).await;
    let refused = told(&cluster, &["schedule", "pg-cron", "install"]);
    assert!(
        refused.contains("its scheduler does not run, so that no job would") && refused.ends_with("--- exit 2\n"),
        "{refused}"
    );
    // One that was scheduled when it ran is shown with its last run, is a fault, and goes.
    let name = "select cron.schedule('tallybook tallybook', '* * * * *', 'select tallybook.rollup_task_usage_daily()')";
    cluster.pool().execute(name).await.unwrap();
    let ran = "insert into cron.job_run_details (jobid, runid, database, username, command, status, return_message, start_time, end_time)
        values (1, 1, 'tallybook', 'tallybook', 'select tallybook.rollup_task_usage_daily()', 'succeeded', '1 row', '2026-01-02', '2026-01-02')";
    cluster.as_superuser(DATABASE, ran).await;
    insta::assert_snapshot!(told(&cluster, &["schedule", "pg-cron", "status"]), @r#"
    Job 1 "tallybook tallybook" in tallybook: "* * * * *" as tallybook
    started               status     message
    2026-01-02T00:00:00Z  succeeded  1 row

    0 runs in the last day, 0 failures.
    FAULT: pg_cron's extension is there and its scheduler does not run, so that no job would; set shared_preload_libraries = 'pg_cron' and cron.database_name = 'tallybook', restart PostgreSQL, and look into its log
    --- exit 1
    "#);
    assert_eq!((&status(&cluster)["is_running"], &status(&cluster)["well"]), (&json!(false), &json!(false)));
    assert!(told(&cluster, &["schedule", "pg-cron", "uninstall"]).starts_with("The job is removed"));
    assert_eq!(status(&cluster)["job"], Value::Null);
}

#[tokio::test]
async fn m09_the_job_runs_is_watched_fails_loudly_and_goes_without_a_trace() {
    let mut cluster = Cluster::with_pg_cron();
    cluster.create_pg_cron(DATABASE).await;
    is_told_as_documented(&cluster, "install");
    let pool = cluster.pool();
    pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    // It is the job that folds, at the next full minute; nobody else is there.
    wait_until(
        &pool,
        "select not tallybook.is_pending() and exists (select from cron.job_run_details where status = 'succeeded')",
    )
    .await;
    assert!(verify::verify(&pool).await.unwrap().exact());
    let well = status(&cluster);
    assert_eq!((&well["well"], &well["failures_in_a_day"], &well["job"]["active"]), (&json!(true), &json!(0), &json!(true)));
    assert_eq!((&well["runs"][0]["status"], &well["works_in"]), (&json!("succeeded"), &json!("tallybook")));

    // A tick that fails: what pg_cron wrote down of it is told.
    pool.execute("alter table public.task_usage disable trigger tallybook_update; update public.task_usage set model = 'x'; insert into public.agent (id, workspace_id, name) select gen_random_uuid(), id, 'a' from public.workspace").await.unwrap();
    assert!(told(&cluster, &["schedule", "pg-cron", "install", "--every", "@reboot"]).ends_with("--- exit 0\n"));
    pool.close().await;
    cluster.restart();
    let pool = cluster.pool();
    wait_until(&pool, "select exists (select from cron.job_run_details where status = 'failed')").await;
    let failing = told(&cluster, &["schedule", "pg-cron", "status"]);
    assert!(
        failing.contains(
            "FAULT: the last run failed: ERROR: capture is not intact: trigger tallybook_update on public.task_usage is disabled\n"
        ),
        "{failing}"
    );
    assert!(failing.contains(", 1 failure.\n") && failing.ends_with("--- exit 1\n"), "{failing}");

    // Somebody disables it.
    pool.execute("select cron.alter_job(jobid, active := false) from cron.job").await.unwrap();
    assert!(told(&cluster, &["schedule", "pg-cron", "status"]).contains("FAULT: the job is disabled"));
    assert!(told(&cluster, &["schedule", "pg-cron", "install"]).ends_with("--- exit 0\n"));
    assert_eq!(status(&cluster)["job"]["active"], true);

    is_told_as_documented(&cluster, "uninstall");
    let left: i64 = sqlx::query_scalar("select (select count(*) from cron.job) + (select count(*) from cron.job_run_details)")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(left, 0);
    insta::assert_snapshot!(told(&cluster, &["schedule", "pg-cron", "uninstall"]), @"
    Nothing to do: no job is installed.
    --- exit 0
    ");

    assert!(told(&cluster, &["schedule", "pg-cron", "install"]).ends_with("--- exit 0\n"));
    let down = told(&cluster, &["migrate", "down", "--to", "5"]);
    assert!(
        down.starts_with("removed the job \"tallybook tallybook\" of pg_cron, which would call what goes\nreverted "),
        "{down}"
    );
    let left: i64 = sqlx::query_scalar("select count(*) from cron.job").fetch_one(&pool).await.unwrap();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn m09_pg_cron_may_work_in_another_database() {
    let cluster = Cluster::start(&pg_cron_in("postgres"));
    cluster.as_superuser(DATABASE, "grant pg_read_all_settings to tallybook").await;
    let missing = told(&cluster, &["schedule", "pg-cron", "install"]);
    assert!(missing.contains("run `create extension pg_cron` in the database postgres as a superuser"), "{missing}");
    cluster.create_pg_cron("postgres").await;
    assert!(told(&cluster, &["schedule", "pg-cron", "install", "--every", "@reboot"]).ends_with("--- exit 0\n"));
    let there = status(&cluster);
    assert_eq!(
        (&there["job"]["database"], &there["works_in"], &there["well"]),
        (&json!("tallybook"), &json!("postgres"), &json!(true))
    );
    assert!(told(&cluster, &["schedule", "pg-cron", "uninstall"]).starts_with("The job is removed"));
}

#[tokio::test]
async fn every_scheduler_at_once_is_no_error_and_no_drift() {
    let cluster = Cluster::with_pg_cron();
    cluster.create_pg_cron(DATABASE).await;
    assert!(told(&cluster, &["schedule", "pg-cron", "install"]).ends_with("--- exit 0\n"));
    let pool = cluster.pool();
    pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    let mut serving = cluster.on(&["serve", "--listen", "127.0.0.1:0"]).spawn().unwrap();
    let mut round = 0;
    let has_run = "select exists (select from cron.job_run_details where status in ('succeeded', 'failed'))";
    // What timers and CronJobs start is `tallybook fold`.
    while !sqlx::query_scalar::<_, bool>(has_run).fetch_one(&pool).await.unwrap() {
        round += 1;
        let report = format!(
            "insert into public.task_usage (task_id, provider, model, event_key, input_tokens)
             select id, 'p', 'm', 'round {round} ' || n, n from public.agent_task_queue, generate_series(1, 20) n"
        );
        pool.execute(AssertSqlSafe(report)).await.unwrap();
        let folds: Vec<_> = (0..2).map(|_| cluster.on(&["fold"]).output().unwrap()).collect();
        assert!(folds.iter().all(|fold| fold.status.success()));
        assert!(verify::verify(&pool).await.unwrap().exact(), "round {round}");
    }
    assert_eq!(serving.try_wait().unwrap(), None);
    serving.kill().unwrap();
    serving.wait().unwrap();
    let (failed, error): (i64, Option<String>) = sqlx::query_as(
        "select (select count(*) from cron.job_run_details where status = 'failed'), (select last_error from tallybook.task_usage_rollup_state)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!((failed, error), (0, None));
    assert!(verify::verify(&pool).await.unwrap().exact());
}
