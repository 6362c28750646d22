//! The disk is full: PostgreSQL says so and then dies of it; the service says so and waits, and goes on when there is space.
use super::choices;
use super::instance::Instance;
use super::patience::wait_for;
use super::recovery;
use super::reporter::Reporters;
use super::summary::Summary;
use super::tmpfs::Tmpfs;
use nix::sys::signal::Signal;
use sqlx::Executor;
use tallybook::testing::results::FULL_DISK;

/// The part of the run whose choices reporters follow.
const PART: u64 = 92;
/// Room for a cluster, and for some of its log to be written.
const MEBIBYTES: u32 = 192;
/// Reports before the disk is full, and after.
const REPORTS: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_nothing_and_ends_by_itself() {
    let disk = Tmpfs::mount(MEBIBYTES);
    let mut instance = Instance::new(&disk.path().join("data"));
    instance.serve();
    let mut reporters = Reporters::start(&instance.door, PART);
    let acknowledged = |more| {
        let goal = reporters.ledger.acknowledged() + more;
        wait_for("reports to be acknowledged", || (reporters.ledger.acknowledged() >= goal).then_some(()));
    };
    acknowledged(REPORTS);

    // Tables cannot grow: reports are refused, and the server lives.
    let said = |what: &str| {
        wait_for(what, || {
            disk.fill();
            instance.logged().contains(what).then_some(())
        });
    };
    said("No space left on device");
    wait_for("reports to be refused", || reporters.answers.lock().unwrap().failures.get("database_unavailable").copied());

    // Its log cannot grow: it dies, and cannot come back.
    let mut superuser = instance.connect().await;
    while superuser.execute("select pg_logical_emit_message(false, 'x', 'x'), pg_switch_wal()").await.is_ok() {}
    said("does not start");
    let address = instance.door.entrance().unwrap().address;
    assert!(ureq::get(format!("http://{address}/healthz")).call().is_ok(), "the service lives");

    // There is space, and nobody has to do anything.
    disk.empty();
    instance.serve();
    acknowledged(REPORTS);
    let mut summary = Summary::default();
    recovery::work_goes_on(&instance).await;
    recovery::check(&instance, &reporters.ledger, &mut summary).await;
    reporters.finish();
    recovery::check_totals(&instance, &reporters.ledger, (0, 0, 0), &mut summary).await;
    summary.answered(&reporters.answers.lock().unwrap());
    summary.acknowledged = reporters.ledger.acknowledged();
    println!("\nthe disk was full\n{summary}");
    summary.assert_clean();
    let ended = instance.end_service(Signal::SIGTERM).unwrap();
    assert!(ended.status.success(), "{ended:?}");

    // A start on a full disk says what is the matter.
    disk.fill();
    let refused = instance.command("serve --log-level off --listen 127.0.0.1:0").end();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(refused.logged.starts_with("tallybook: ") && refused.logged.contains("No space left on device"), "{refused:?}");
    disk.empty();
    instance.serve();
    let ended = instance.end_service(Signal::SIGTERM).unwrap();
    assert!(ended.status.success(), "{ended:?}");
    let figures = [("disks filled", 1), ("reports acknowledged", summary.acknowledged)];
    FULL_DISK.record(Some(choices::seed()), &[&figures[..], &summary.faults()].concat());
}
