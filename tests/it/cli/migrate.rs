//! `tallybook migrate`, and what the other commands say without it.
use super::serve::Serving;
use super::{on, transcript, transcript_on};
use nix::sys::signal::Signal;
use sqlx::Executor;
use tallybook::testing;

#[tokio::test]
async fn a_database_is_migrated_up_and_down_again() {
    let database = testing::empty_database().await;
    insta::assert_snapshot!(transcript_on(&database, "verify"), @"
    --- standard error
    tallybook: database DATABASE at HOST:PORT as user postgres has no Tallybook schema yet; run `tallybook migrate up`
    --- exit 2
    ");
    let before = transcript_on(&database, "migrate status");
    assert!(before.contains("0001    source tables") && before.ends_with("--- exit 1\n"), "{before}");
    let up = transcript_on(&database, "migrate up");
    assert!(up.starts_with("applied 0001 source tables\n") && up.ends_with("--- exit 0\n"), "{up}");
    insta::assert_snapshot!(transcript_on(&database, "migrate up"), @"
    Nothing to do: every migration is applied.
    --- exit 0
    ");
    let status = transcript_on(&database, "migrate status --json");
    assert!(status.contains(r#""state": "applied""#) && !status.contains("pending\"\n"), "{status}");
    let one = transcript_on(&database, "migrate down");
    assert_eq!(one.matches("reverted").count(), 1, "{one}");
    let behind = transcript_on(&database, "status");
    assert!(behind.contains("lacks migration") && behind.contains("tallybook migrate up"), "{behind}");
    let rest = transcript_on(&database, "migrate down --to 1");
    assert!(rest.contains("reverted 0002") && !rest.contains("reverted 0001"), "{rest}");
    insta::assert_snapshot!(transcript_on(&database, "migrate down --to 1"), @"
    Nothing to do: the newest migration applied is 0001.
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, "migrate down --to 0"), @"
    reverted 0001 source tables
    --- exit 0
    ");
    insta::assert_snapshot!(transcript_on(&database, "migrate down"), @"
    Nothing to do: no migration is applied.
    --- exit 0
    ");
}

#[tokio::test]
async fn raw_usage_is_deleted_only_when_that_is_said() {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    insta::assert_snapshot!(transcript_on(&database, "migrate down --to 0"), @"
    --- standard error
    tallybook: going down to 0 would delete the raw usage; say --delete-usage if that is meant, or --to 1 to keep it
    --- exit 2
    ");
    let kept: i64 = sqlx::query_scalar("select count(*) from public.task_usage").fetch_one(&database.pool).await.unwrap();
    assert_eq!(kept, 1);
    insta::assert_snapshot!(transcript_on(&database, "migrate down --to 99"), @"
    Nothing to do: the newest migration applied is 0013.
    --- exit 0
    ");
    let gone = on(&database, "migrate down --to 0 --delete-usage").status().unwrap();
    assert!(gone.success());
}

#[tokio::test]
async fn a_migration_with_another_text_is_named() {
    let database = testing::database().await;
    database.pool.execute("update tallybook.migration set checksum = 'x' where version = 3").await.unwrap();
    insta::assert_snapshot!(transcript_on(&database, "usage"), @"
    --- standard error
    tallybook: database DATABASE at HOST:PORT as user postgres has migration 3 in another form than this Tallybook carries; use the build that migrated it, or restore it from a backup
    --- exit 2
    ");
    assert!(transcript_on(&database, "migrate status").contains("applied in another form"));
}

#[tokio::test]
async fn why_it_failed_is_told_though_what_it_says_cannot_be_written() {
    let database = testing::empty_database().await;
    let reason = |told: &str| told.lines().find(|line| line.starts_with("tallybook: ")).unwrap().to_owned();
    let refused = transcript_on(&database, "migrate up --adopt");
    assert!(!refused.starts_with("--- standard error") && refused.ends_with("--- exit 2\n"), "{refused}");
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let told = transcript(on(&database, "migrate up --adopt").stdout(full));
    assert!(told.contains("the output cannot be written") && told.ends_with("--- exit 2\n"), "{told}");
    assert_eq!(reason(&told), reason(&refused).replace("DATABASE", database.options().get_database().unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_release_serves_beside_the_migrations_of_a_newer_one_and_leaves_them_alone() {
    let database = testing::database().await;
    database.pool.execute(include_str!("../../../src/testing/one_task.sql")).await.unwrap();
    database
        .pool
        .execute("insert into tallybook.migration (version, description, success, checksum, execution_time) values (9999, 'of tomorrow', true, '', 0)")
        .await
        .unwrap();
    let listed = transcript_on(&database, "migrate status");
    assert!(listed.contains("9999    of tomorrow         applied by a newer Tallybook\n--- exit 1\n"), "{listed}");
    let serving = Serving::start(&mut on(&database, "serve --listen 127.0.0.1:0"));
    serving.wait_for("/readyz", 200);
    serving.wait_for_metric("tallybook_service_pending_rows{kind=\"usage\"} 0");
    let (status, log) = serving.stop(Signal::SIGTERM);
    assert!(status.success() && log.contains("the database was migrated by a newer Tallybook"), "{log}");
    let verified = transcript_on(&database, "verify");
    assert!(verified.contains("Exact.\n") && verified.ends_with("--- exit 0\n"), "{verified}");
    let examined = transcript_on(&database, "doctor");
    assert!(
        examined.contains("UNCHECKED  schema: a newer Tallybook migrated the database") && examined.ends_with("--- exit 2\n"),
        "{examined}"
    );
    let told = transcript_on(&database, "migrate up");
    assert!(told.starts_with("Nothing to do: every migration is applied.\n") && told.ends_with("--- exit 0\n"), "{told}");
    // It does not know the way down.
    for down in ["migrate down", "migrate down --to 12"] {
        let refused = transcript_on(&database, down);
        let told =
            "tallybook: a newer Tallybook applied migration 9999: revert that with its release, then go on with this one\n";
        assert!(refused.contains(told) && refused.ends_with("--- exit 2\n"), "{refused}");
    }
    let kept: bool = sqlx::query_scalar("select exists (select from tallybook.migration where version = 9999)")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert!(kept);
}
