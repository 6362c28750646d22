//! Stores what a reader of a file has read, chunk by chunk.
use super::{BadLine, Error, Event, Summary};
use crate::access::{Access, Scope};
use crate::ingest::{self, Ingest, Outcome, Report};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// How often a chunk is tried that the database does not take now.
const ATTEMPTS_MAX: u32 = 8;
/// The wait before the second attempt; doubled before each further one.
const PAUSE: Duration = Duration::from_millis(500);

/// A part of a file.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    /// Records, the bad ones included.
    pub(super) records: u64,
    /// Each with its line.
    pub(super) reports: Vec<(u64, Report)>,
    /// What makes no report, in order.
    pub(super) bad: Vec<BadLine>,
    /// How far into the file it reaches.
    pub(super) bytes: u64,
}

/// Stores chunks and counts what becomes of them.
pub(super) struct Store<P> {
    ingest: Ingest,
    caller: Access,
    skip_bad: bool,
    progress: P,
    pub(super) summary: Summary,
}

impl<P: FnMut(Event<'_>) + Send> Store<P> {
    /// Stores into `workspace` only; leaves bad lines out if `skip_bad`, else stops at the first.
    pub(super) fn new(ingest: Ingest, workspace: Uuid, skip_bad: bool, progress: P) -> Self {
        let caller = Access { token_id: Uuid::nil(), workspace: Some(workspace), scopes: vec![Scope::Ingest] };
        Self { ingest, caller, skip_bad, progress, summary: Summary::default() }
    }

    /// Stores `chunk`; with bad lines fatal, all that comes before the first one.
    pub(super) async fn store(&mut self, mut chunk: Chunk) -> Result<(), Error> {
        loop {
            let fatal = if self.skip_bad { None } else { chunk.bad.iter().min_by_key(|bad| bad.line).cloned() };
            if let Some(fatal) = &fatal {
                chunk.reports.retain(|(line, _)| *line < fatal.line);
                chunk.records = u64::try_from(chunk.reports.len()).unwrap_or(u64::MAX);
            }
            match self.submit(&chunk.reports).await? {
                Ok(outcomes) => {
                    self.count(&chunk, &outcomes, fatal.is_some());
                    return fatal.map_or(Ok(()), |line| Err(Error::Line { line, summary: self.summary }));
                }
                Err(faults) => set_aside(&mut chunk, faults),
            }
        }
    }

    /// Submits until the answer is final: what became of the reports, or what is wrong with them.
    async fn submit(&mut self, reports: &[(u64, Report)]) -> Result<Result<Vec<Outcome>, Vec<ingest::Fault>>, Error> {
        if reports.is_empty() {
            return Ok(Ok(Vec::new()));
        }
        let mut pause = PAUSE;
        for attempt in 1.. {
            let batch = reports.iter().map(|(_, report)| report.clone()).collect();
            match self.ingest.submit(&self.caller, batch).await {
                Ok(outcomes) => return Ok(Ok(outcomes)),
                Err(ingest::Error::Invalid(faults)) => return Ok(Err(faults)),
                Err(cause) if attempt == ATTEMPTS_MAX || !cause.is_retryable() => {
                    return Err(Error::Store { records: self.summary.records, cause });
                }
                Err(cause) => tracing::warn!(%cause, "the import waits and tries again"),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        unreachable!("the attempts end before the numbers do")
    }

    fn count(&mut self, chunk: &Chunk, outcomes: &[Outcome], stopped: bool) {
        let summary = &mut self.summary;
        summary.records += chunk.records;
        for outcome in outcomes {
            *match outcome {
                Outcome::Created => &mut summary.created,
                Outcome::Replaced => &mut summary.replaced,
                Outcome::Unchanged => &mut summary.unchanged,
                Outcome::Stale => &mut summary.stale,
                Outcome::Sealed => &mut summary.sealed,
            } += 1;
        }
        if !stopped {
            for bad in &chunk.bad {
                summary.skipped += 1;
                (self.progress)(Event::Skipped(bad));
            }
            (self.progress)(Event::Stored { bytes: chunk.bytes, summary });
        }
    }
}

/// Turns reports that the database's state forbids into bad lines.
fn set_aside(chunk: &mut Chunk, faults: Vec<ingest::Fault>) {
    let places: BTreeSet<usize> = faults.iter().map(|fault| fault.index).collect();
    let bad = faults.into_iter().filter_map(|fault| {
        let (line, _) = chunk.reports.get(fault.index)?;
        let field = if fault.field.is_empty() { String::new() } else { format!("{}: ", fault.field) };
        Some(BadLine { line: *line, column: String::new(), reason: format!("{field}{}", fault.reason) })
    });
    chunk.bad.extend(bad.collect::<Vec<_>>());
    chunk.bad.sort_by_key(|bad| bad.line);
    let mut place = 0;
    chunk.reports.retain(|_| {
        place += 1;
        !places.contains(&(place - 1))
    });
}
