//! The benchmark suite: what exactness costs and saves, beside what a user would have instead, on the same rows in the same run.
//!
//! A run follows a declared [`plan`]: it makes histories ([`data`]) in databases of its own ([`server`]), puts each [`contender`] beside a copy
//! of one, and measures subject by subject ([`measure`]). What it finds ([`results`]) is all that the document is drawn from ([`report`]).
//!
//! Contenders take turns, forwards and backwards, after a warm-up; what is reported are medians, how far the turns lie apart, and ratios of
//! the same turn. Times depend on the machine; ratios mostly do not. Nothing here is a test of time: what must hold everywhere are the
//! results' faults ([`Results::faults`]), rows that differ where none may, and reports that are lost.
#![expect(clippy::float_arithmetic, reason = "times and ratios, none of them near money or counts")]

mod about;
mod client;
mod contender;
mod data;
mod measure;
pub(crate) mod plan;
mod process;
pub(crate) mod report;
mod results;
mod server;
mod service;
mod stats;
mod writers;

use crate::{access, adopt, db};
use plan::Plan;
use server::Server;
use sqlx::postgres::PgConnectOptions;
use std::io;
use std::time::{Duration, Instant};

pub(crate) use results::Results;

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The role may not make databases.
    #[error("the role {role} may not create databases, of which the bench makes its own: `alter role {role} createdb` lets it")]
    NoRight {
        /// Which role.
        role: String,
    },
    /// Another run has the server.
    #[error("another `tallybook bench` is at work on this server; wait for its end, or stop it")]
    Busy,
    /// A statement failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// Tallybook could not be installed.
    #[error(transparent)]
    Migrate(#[from] db::migrate::Error),
    /// Tallybook could not be put beside a host's tables.
    #[error(transparent)]
    Adopt(#[from] adopt::Error),
    /// No token could be made.
    #[error(transparent)]
    Token(#[from] access::Error),
    /// A process, a socket or a file failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// HTTP failed.
    #[error("a request failed: {0}")]
    Http(String),
    /// A task of this run has died.
    #[error("a part of the run died: {0}")]
    Died(#[from] tokio::task::JoinError),
    /// The results could not be written as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// A run: its databases, its plan, and who is told how far it is.
pub(crate) struct Bench<'a> {
    server: Server,
    plan: &'a Plan,
    began: Instant,
    tell: &'a (dyn Fn(&str) + Send + Sync),
}

impl<'a> Bench<'a> {
    /// Begins a run on a server; `tell` is told of each step.
    pub(crate) async fn start(
        options: PgConnectOptions,
        plan: &'a Plan,
        tell: &'a (dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, Error> {
        Ok(Self { server: Server::open(options).await?, plan, began: Instant::now(), tell })
    }

    /// Measures all subjects of the plan.
    pub(crate) async fn run(&self, commit: String) -> Result<Results, Error> {
        let mut sections = Vec::new();
        for (done, subject) in self.plan.subjects.iter().enumerate() {
            let left: u64 = self.plan.subjects[done..].iter().map(|subject| subject.minutes()).sum();
            let expected = if self.plan.scale.is_quick { String::new() } else { format!(", about {left} min left on two cores") };
            self.step(&format!("{}, {} of {}{expected}", subject.name(), done + 1, self.plan.subjects.len()));
            let began = Instant::now();
            let mut section = Box::pin(measure::measure(self, *subject)).await?;
            section.seconds = began.elapsed().as_secs();
            if self.plan.judged() < plan::FLOOR_ROWS {
                section.floors.retain(|floor| floor.unit == results::Unit::Count);
            }
            sections.push(section);
        }
        let about = about::about(self, commit).await?;
        Ok(Results { about, sections })
    }

    /// Drops every database that the run has made. Also to be called when it was cut off.
    pub(crate) async fn end(&self) -> Result<(), Error> {
        Ok(self.server.clean().await?)
    }

    /// Tells of a step.
    fn step(&self, what: &str) {
        (self.tell)(&format!("{:>6}  {what}", clock(self.began.elapsed())));
    }
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    format!("{}:{:02}", time.as_secs() / 60, time.as_secs() % 60)
}

/// The places of `contenders` things in a turn: forwards and backwards, so that none always comes after the same one.
fn order(turn: usize, contenders: usize) -> Vec<usize> {
    if turn.is_multiple_of(2) { (0..contenders).collect() } else { (0..contenders).rev().collect() }
}

/// Figures of several contenders, turn by turn.
struct Turns(Vec<Vec<f64>>);

impl Turns {
    fn of(contenders: usize) -> Self {
        Self(vec![Vec::new(); contenders])
    }

    fn add(&mut self, contender: usize, figure: f64) {
        self.0[contender].push(figure);
    }

    fn summary(&self, contender: usize) -> stats::Summary {
        stats::Summary::of(&self.0[contender])
    }

    /// How many times one contender's figures are another's, turn by turn.
    fn ratio(&self, numerator: usize, denominator: usize) -> stats::Summary {
        stats::ratios(&self.0[numerator], &self.0[denominator])
    }

    /// A cell: the figures, and how many times they are those of `reference`.
    fn cell(&self, contender: usize, unit: results::Unit, reference: Option<usize>) -> results::Figure {
        results::Figure::Measured {
            unit,
            value: self.summary(contender),
            ratio: reference
                .filter(|reference| *reference != contender)
                .map(|reference| self.ratio(contender, reference))
                .filter(|ratio| ratio.count > 0),
        }
    }
}
