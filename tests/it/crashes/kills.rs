//! `kill -9`, at chosen points and at random ones, as often as one likes.
use super::choices::{choices, kills, seed};
use super::plan::{self, Kill, POINTS, SEALING};
use super::session::Session;
use super::summary::Summary;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use tallybook::testing::results::KILLS;

/// Instances that are killed at the same time.
const SESSIONS_AT_ONCE: usize = 3;
/// One kill in the middle of sealing for so many others.
const SEALING_SHARE: usize = 6;
/// Kills that one instance has to survive, at most: what is compared after each of them grows.
const SESSION_KILLS_MAX: usize = 24;

#[test]
fn nothing_acknowledged_is_lost_or_counted_twice_whoever_is_killed_whenever() {
    let (anywhere, sealing) = (kills(), kills() / SEALING_SHARE);
    let (anywhere, sealing) = (plan::kills(&POINTS, &mut choices(0), anywhere), plan::kills(&SEALING, &mut choices(0), sealing));
    let share = anywhere.len().div_ceil(SESSIONS_AT_ONCE).clamp(1, SESSION_KILLS_MAX);
    let sessions = Mutex::new((1_u64..).zip(anywhere.chunks(share).chain(sealing.chunks(share))));
    let (told, done) = mpsc::channel();
    let mut summary = Summary::default();
    thread::scope(|scope| {
        for _ in 0..SESSIONS_AT_ONCE {
            let (sessions, told) = (&sessions, told.clone());
            scope.spawn(move || {
                loop {
                    let next = sessions.lock().unwrap().next();
                    let Some((number, kills)) = next else { break };
                    told.send(run(number, kills)).unwrap();
                }
            });
        }
        drop(told);
        for session in done {
            summary.add(session);
        }
    });
    println!("\n{summary}");
    summary.assert_clean();
    KILLS.record(Some(seed()), &summary.kills());
}

/// An instance that survives `kills`.
fn run(number: u64, kills: &[Kill]) -> Summary {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut session = Session::begin(number).await;
        for (place, kill) in (1..).zip(kills) {
            eprintln!("seed {}, instance {number}, kill {place} of {}: {kill}", seed(), kills.len());
            session.survive(*kill).await;
        }
        session.finish().await
    })
}
