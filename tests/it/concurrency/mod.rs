//! I1 as a property of several sessions at once: after each commit, in one snapshot, every now-view equals raw; and in every
//! transaction's own snapshot, too.
//!
//! `history` goes step by step, so that a failing seed fails again; `soak` lets everybody run at full speed.
mod history;
mod host;
mod soak;
mod write;

use crate::mutations::seeds;
use crate::property::{cases, for_all};
use crate::races::world::CAPTURES;
use history::Lived;
use host::HOSTS;
use proptest::prelude::*;
use std::cell::RefCell;
use tallybook::testing::results::{self, SEVERAL_SESSIONS};

#[test]
fn no_history_of_several_sessions_makes_a_now_view_differ() {
    let seed = results::seed();
    let lived = RefCell::new(Lived::default());
    let histories = (prop::sample::select(&HOSTS[..]), prop::sample::select(&CAPTURES[..]), history::moves());
    for_all(
        seed,
        cases("TALLYBOOK_HISTORIES", 24),
        seeds("tests/it/concurrency/failing-seeds.txt"),
        &histories,
        |((_, host), capture, moves)| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let one = runtime.block_on(async {
                let db = host::database(host, capture).await;
                history::live_through(&db, &moves).await
            });
            lived.borrow_mut().add(&one);
        },
    );
    SEVERAL_SESSIONS.record(Some(seed), &lived.into_inner().figures());
}
