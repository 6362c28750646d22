//! The very first start, killed at any step of the making of a cluster.
use super::instance::{Instance, directory};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Steps of a first start, by what appears in the data directory; the first ones in a cluster that is not finished yet.
const STEPS_UNFINISHED: [&str; 4] = ["", "PG_VERSION", "base/1", "tallybook.conf"];
const STEPS: [&str; 3] = ["postgres", "postgres.log", "postgres/postmaster.pid"];

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_is_killed_at_any_step_is_made_good_by_the_next() {
    let directory = directory();
    let data_dir = directory.path().join("data");
    let mut instance = Instance::new(&data_dir);
    for step in STEPS_UNFINISHED {
        let before = unfinished(&data_dir);
        instance.launch();
        let begun = |cluster: &&PathBuf| cluster.join(step).exists();
        instance.wait_for(step, |_| unfinished(&data_dir).difference(&before).find(begun).cloned());
        drop(instance.end_service(Signal::SIGKILL));
    }
    for step in STEPS {
        instance.launch();
        instance.wait_for(step, |_| data_dir.join(step).exists().then_some(()));
        drop(instance.end_service(Signal::SIGKILL));
    }
    instance.serve();
    assert!(instance.run("status").contains("All is well."));
    assert_eq!(unfinished(&data_dir), BTreeSet::new());
    let ended = instance.end_service(Signal::SIGTERM).unwrap();
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(instance.postmaster(), None);
}

/// The clusters in the making, and those that were left so.
fn unfinished(data_dir: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(data_dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().contains("postgres.unfinished-")).collect()
}
