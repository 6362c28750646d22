//! Connections that are cut in a request, between it and its answer, or in the answer: sending it again does no harm.
use super::choices;
use super::instance::{Instance, directory};
use super::patience::wait_for;
use super::proxy::Proxy;
use super::recovery;
use super::reporter::{Door, Entrance, Reporters};
use super::summary::Summary;
use nix::sys::signal::Signal;
use std::sync::Arc;
use tallybook::testing::results::CUTS;

/// The part of the run whose choices reporters follow.
const PART: u64 = 91;
/// Cuts for each kill that the run is told to make.
const CUTS_PER_KILL: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_again_after_a_cut_connection_is_there_once() {
    let directory = directory();
    let mut instance = Instance::new(&directory.path().join("data"));
    instance.serve();
    let entrance = instance.door.entrance().unwrap();
    let proxy = Proxy::start(entrance.address);
    let door = Arc::new(Door::default());
    door.open(Entrance { address: proxy.address, ..entrance });
    let mut reporters = Reporters::start(&door, PART);
    proxy.cut();
    let wanted = u64::try_from(CUTS_PER_KILL * choices::kills()).unwrap();
    for some in (0..=wanted).step_by(CUTS_PER_KILL) {
        wait_for("connections to be cut", || (proxy.cuts().iter().sum::<u64>() >= some).then_some(()));
    }
    // Still through the proxy, which goes on cutting.
    reporters.finish();

    let mut summary = Summary::default();
    recovery::check_totals(&instance, &reporters.ledger, (0, 0, 0), &mut summary).await;
    summary.answered(&reporters.answers.lock().unwrap());
    summary.acknowledged = reporters.ledger.acknowledged();
    let [requests, waiting, answers] = proxy.cuts();
    println!(
        "\nconnections cut: {requests} in a request, {waiting} between it and its answer, {answers} in an answer\n{summary}"
    );
    assert!(requests.min(waiting).min(answers) > 0);
    summary.assert_clean();
    let cuts = [
        ("in a request", requests),
        ("between it and its answer", waiting),
        ("in an answer", answers),
        ("reports acknowledged", summary.acknowledged),
    ];
    CUTS.record(Some(choices::seed()), &[&cuts[..], &summary.faults()].concat());
    let ended = instance.end_service(Signal::SIGTERM).unwrap();
    assert!(ended.status.success(), "{ended:?}");
}
