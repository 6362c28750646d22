//! Crashes: whatever is killed, cut or filled up, nothing that was acknowledged is lost, nothing is counted twice, every
//! now-view equals raw, and work resumes by itself.
//!
//! The servers here are private ones of the product's own, with `fsync` and `full_page_writes` on. Services and commands are
//! the built binary, each in a process of its own, so that `kill -9` is `kill -9`.
//!
//! - [`instance`] is a data directory with what runs on it, [`process`] one of our processes, [`tmpfs`] a disk that can be full;
//! - [`reporter`] sends usage and never gives up, [`ledger`] remembers what was sent and acknowledged, [`recovery`] compares;
//! - [`plan`] chooses whom to kill when, [`gate`] and [`hold`] make "when" exact;
//! - [`kills`], [`birth`], [`cuts`] and [`disk`] are the tests, [`summary`] what they print.
//!
//! `TALLYBOOK_KILLS` says how often to kill; `TALLYBOOK_SEED` repeats all choices of a run.
mod birth;
mod choices;
mod cuts;
mod disk;
mod gate;
mod hold;
mod import;
mod instance;
mod kills;
mod ledger;
mod patience;
mod plan;
mod process;
mod proxy;
mod recovery;
mod reporter;
mod session;
mod summary;
mod tmpfs;
