//! Turns records into reports.
use super::bounded::{Bounded, RECORD_BYTES_MAX, RecordTooLong};
use super::columns::{Column, Field, Layout};
use super::time;
use crate::import::store::Chunk;
use crate::import::{BadLine, Error};
use crate::ingest::{Counts, Reference, Report, TaskPlace};
use crate::model::{Count, EventKey, Model, Name, OccurredAt, Provider, Ticks};
use ::csv::ByteRecord;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::HashSet;
use std::fmt::Display;
use std::io::Read;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Records of a chunk.
const CHUNK_RECORDS: u64 = 5_000;
/// Keys that are remembered to find one that comes again (17 bytes each, twice that while growing).
/// One that comes again later than that replaces what it named before.
const KEYS_MAX: usize = 4_000_000;

/// Where an import goes.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) workspace: Uuid,
    pub(super) agent: Name,
    pub(super) runtime: Name,
    pub(super) source: Name,
}

/// Reads the records of one file.
#[derive(Debug)]
pub(super) struct Reader {
    layout: Layout,
    target: Target,
    zone: TimeZone,
    now: Timestamp,
    /// Digests of the identities that a key column has named.
    seen: HashSet<u128>,
}

/// What is wrong with a record.
struct Wrong {
    column: String,
    reason: String,
}

impl Reader {
    pub(super) fn new(layout: Layout, target: Target, zone: TimeZone, now: Timestamp) -> Self {
        Self { layout, target, zone, now, seen: HashSet::new() }
    }

    /// Reads to the end, or until nobody listens any more.
    pub(super) fn read(mut self, mut records: ::csv::Reader<Bounded<impl Read>>, chunks: &mpsc::Sender<Result<Chunk, Error>>) {
        let mut chunk = Chunk::default();
        let mut record = ByteRecord::new();
        let mut number = 0;
        loop {
            let more = records.read_byte_record(&mut record);
            let at_end = matches!(more, Ok(false));
            if at_end || more.is_err() || chunk.records == CHUNK_RECORDS {
                chunk.bytes = records.get_ref().bytes_read();
                if chunks.blocking_send(Ok(std::mem::take(&mut chunk))).is_err() || at_end {
                    return;
                }
            }
            if let Err(cause) = more {
                // Nobody may be listening, and then nobody asks why.
                drop(chunks.blocking_send(Err(unreadable(number, cause))));
                return;
            }
            number += 1;
            chunk.records += 1;
            let line = first_line(&record, records.position());
            match self.report(&record, number) {
                Ok(report) => chunk.reports.push((line, report)),
                Err(Wrong { column, reason }) => chunk.bad.push(BadLine { line, column, reason }),
            }
        }
    }

    fn report(&mut self, record: &ByteRecord, number: u64) -> Result<Report, Wrong> {
        let layout = &self.layout;
        if record.len() != layout.width {
            let reason = format!("has {} fields where the header has {}", record.len(), layout.width);
            return Err(Wrong { column: String::new(), reason });
        }
        let occurred_at = self.occurred_at(record)?;
        let report = Report {
            task_id: self.task_id(record, occurred_at)?,
            provider: field(record, &layout.provider, Provider::parse)?,
            model: field(record, &layout.model, Model::parse)?,
            event_key: self.event_key(record, number)?,
            counts: Counts {
                input: read(record, &layout.input, count)?,
                output: read(record, &layout.output, count)?,
                cache_read: optional(record, layout.cache_read.as_ref(), count)?.unwrap_or_default(),
                cache_write: optional(record, layout.cache_write.as_ref(), count)?.unwrap_or_default(),
                cache_write_1h: Count::ZERO,
            },
            cost: optional(record, layout.cost.as_ref(), Ticks::parse)?,
            occurred_at: Some(occurred_at),
            sequence: None,
            task: Some(TaskPlace {
                workspace_id: None,
                agent: Some(Reference::Name(self.target.agent.clone())),
                runtime: Some(Reference::Name(self.target.runtime.clone())),
                issue: None,
            }),
        };
        self.refuse_again(&report)?;
        Ok(report)
    }

    fn occurred_at(&self, record: &ByteRecord) -> Result<OccurredAt, Wrong> {
        read(record, &self.layout.time, |text| {
            let not_a_time =
                || "must be a time, such as 2023-11-16 18:17:03.97, with or without an offset, or seconds since 1970";
            let time = time::parse(text, &self.zone).ok_or_else(|| not_a_time().to_owned())?;
            OccurredAt::new(time, self.now).map_err(|error| error.to_string())
        })
    }

    /// A column's task is the one of that id, or of that name whatever the file; else each day of a file is one.
    fn task_id(&self, record: &ByteRecord, occurred_at: OccurredAt) -> Result<Uuid, Wrong> {
        let workspace = &self.target.workspace;
        let Some(column) = &self.layout.task else {
            let day = TimeZone::UTC.to_datetime(occurred_at.get()).date();
            return Ok(Uuid::new_v5(workspace, format!("day\0{}\0{day}", self.target.source).as_bytes()));
        };
        let named = |name: Name| Uuid::new_v5(workspace, format!("task\0{name}").as_bytes());
        read(record, column, |text| Uuid::parse_str(text).or_else(|_| Name::parse(text).map(named)))
    }

    fn event_key(&self, record: &ByteRecord, number: u64) -> Result<EventKey, Wrong> {
        let wrong = |error: crate::model::text::Error| Wrong { column: String::new(), reason: error.to_string() };
        match &self.layout.key {
            None => EventKey::parse(&format!("{}:{number}", self.target.source)).map_err(wrong),
            Some(column) => {
                read(
                    record,
                    column,
                    |text| {
                        if text.is_empty() { Err(crate::model::text::Error::Empty) } else { EventKey::parse(text) }
                    },
                )
            }
        }
    }

    /// A key that comes twice would silently replace what it named first.
    fn refuse_again(&mut self, report: &Report) -> Result<(), Wrong> {
        let Some(column) = &self.layout.key else { return Ok(()) };
        let identity = format!("{}\0{}\0{}", report.provider, report.model, report.event_key);
        if self.seen.len() == KEYS_MAX {
            self.seen.clear();
        }
        if self.seen.insert(Uuid::new_v5(&report.task_id, identity.as_bytes()).as_u128()) {
            return Ok(());
        }
        let reason =
            format!("has the key {:?} of an earlier record of the same task, provider and model", report.event_key.as_str());
        Err(Wrong { column: column.name.clone(), reason })
    }
}

/// Why nothing can be read after `records` records.
pub(super) fn unreadable(records: u64, cause: ::csv::Error) -> Error {
    let too_long = match cause.kind() {
        ::csv::ErrorKind::Io(error) => error.get_ref().and_then(|error| error.downcast_ref::<RecordTooLong>()),
        _ => None,
    };
    match too_long {
        Some(RecordTooLong { line }) => Error::RecordTooLong { records, line: *line, bytes_max: RECORD_BYTES_MAX },
        None => Error::Read { records, cause },
    }
}

/// The line on which `record` begins, `end` being where it ended: what is before it may be blank lines.
#[expect(clippy::naive_bytecount, reason = "a record is short")]
fn first_line(record: &ByteRecord, end: &::csv::Position) -> u64 {
    let breaks = record.as_slice().iter().filter(|byte| **byte == b'\n').count();
    let last = end.line().saturating_sub(1);
    let earliest = record.position().map_or(0, ::csv::Position::line);
    last.saturating_sub(u64::try_from(breaks).unwrap_or_default()).max(earliest)
}

/// A count; `12.0`, as some tools write whole numbers, is one too.
fn count(text: &str) -> Result<Count, crate::model::count::Error> {
    let whole = text.split_once('.').filter(|(_, zeros)| !zeros.is_empty() && zeros.bytes().all(|b| b == b'0'));
    Count::parse(whole.map_or(text, |(whole, _)| whole))
}

/// Reads a cell, without the white space around it.
fn read<T, E: Display>(record: &ByteRecord, column: &Column, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T, Wrong> {
    let wrong = |reason: String| Wrong { column: column.name.clone(), reason };
    let cell = record.get(column.place).unwrap_or_default();
    let text = str::from_utf8(cell).map_err(|_| wrong("is not UTF-8".to_owned()))?.trim();
    parse(text).map_err(|error| wrong(format!("{error}; it is {:?}", abridged(text))))
}

/// Reads a cell of a column that there may not be, and that may be empty.
fn optional<T, E: Display>(
    record: &ByteRecord,
    column: Option<&Column>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, Wrong> {
    let Some(column) = column else { return Ok(None) };
    read(record, column, |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) })
}

fn field<T: Clone, E: Display>(
    record: &ByteRecord,
    field: &Field<T>,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, Wrong> {
    match field {
        Field::Column(column) => read(record, column, parse),
        Field::Constant(constant) => Ok(constant.clone()),
    }
}

/// The beginning of a text, enough to find it.
fn abridged(text: &str) -> String {
    const CHARACTERS_MAX: usize = 40;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
