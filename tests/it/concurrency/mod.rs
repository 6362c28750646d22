//! I1 as a property of several sessions at once: after each commit, in one snapshot, every now-view equals raw; and in every
//! transaction's own snapshot, too.
//!
//! `history` goes step by step, so that a failing seed fails again; `soak` lets everybody run at full speed.
mod history;
mod host;
mod soak;
mod write;

use crate::mutations::seeds;
use crate::races::world::CAPTURES;
use host::HOSTS;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("TALLYBOOK_HISTORIES").ok().and_then(|n| n.parse().ok()).unwrap_or(24),
        failure_persistence: seeds("tests/it/concurrency/failing-seeds.txt"),
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_history_of_several_sessions_makes_a_now_view_differ(
        (_, host) in prop::sample::select(&HOSTS[..]),
        capture in prop::sample::select(&CAPTURES[..]),
        moves in history::moves(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let db = host::database(host, capture).await;
            history::live_through(&db, &moves).await;
        });
    }
}
