//! CSV files: one record, one event.
//!
//! - A record's `event_key` is the file's name with the record's number, or the value of a column that tells records apart.
//! - Its task is named by a column; else all records of one file and UTC day are one task, which keeps tasks
//!   as small as a day's usage however long the file is.
//! - All ids follow from names: importing a file again finds what is stored, and changes nothing.
//!   (A record that was moved to another day, provider or model since is a new one.)
//!
//! The file is read in chunks on a thread of its own while the one before is being stored; memory is bounded.
mod bounded;
mod columns;
mod lines;
mod options;
mod reader;
mod time;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod tests;

pub use options::{Columns, OnBad, Options, Origin};

use super::place;
use super::store::Store;
use super::{Error, Event, Summary};
use crate::clock::Clock;
use crate::db::pool::PgPool;
use crate::ingest::{Ingest, Limits};
use crate::model::Name;
use bounded::Bounded;
use columns::Layout;
use lines::Lines;
use reader::{Reader, Target, unreadable};
use std::fs::File;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

/// Chunks that wait while one is being stored.
const CHUNKS_AHEAD: usize = 1;

/// Imports a file, and tells `progress` how it goes.
pub async fn run(
    pool: &PgPool,
    clock: &Clock,
    options: &Options,
    progress: impl FnMut(Event<'_>) + Send,
) -> Result<Summary, Error> {
    let open = |cause| Error::Open { path: options.path.clone(), cause };
    let file = File::open(&options.path).map_err(open)?;
    let text = Bounded::new(Lines::new(file), options.delimiter);
    let mut records = ::csv::ReaderBuilder::new().delimiter(options.delimiter).flexible(true).from_reader(text);
    let header = records.byte_headers().map_err(|cause| unreadable(0, cause))?;
    let layout = Layout::new(header, options)?;
    let source = options.source()?;
    let name = |name: &Option<Name>| name.clone().unwrap_or_else(|| source.clone());

    let workspace = place::workspace(pool, clock, &name(&options.workspace)).await?;
    let target = Target { workspace, agent: name(&options.agent), runtime: name(&options.runtime), source: source.clone() };
    let reader = Reader::new(layout, target, options.zone.clone(), clock.now());

    let tracker = TaskTracker::new();
    let ingest = Ingest::start(pool.clone(), clock.clone(), &tracker, Limits::default());
    let mut store = Store::new(ingest, workspace, options.on_bad == OnBad::Skip, progress);
    let (sender, mut chunks) = mpsc::channel(CHUNKS_AHEAD);
    let reading = tokio::task::spawn_blocking(move || reader.read(records, &sender));
    let stored = async {
        while let Some(chunk) = chunks.recv().await {
            store.store(chunk?).await?;
        }
        Ok(store.summary)
    }
    .await;
    // After an error the reader finds nobody to send to, and ends.
    drop(chunks);
    if let Some(panic) = reading.await.err().and_then(|error| error.try_into_panic().ok()) {
        std::panic::resume_unwind(panic);
    }
    stored
}
