//! What was sent, what of it was acknowledged, and whether the database agrees.
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// Under what a report is stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity {
    pub(super) task: Uuid,
    pub(super) model: String,
    /// Empty for the task's running total.
    pub(super) event_key: String,
}

/// A report: an identity, and the so-many-eth value that it was sent with.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) identity: Identity,
    pub(super) version: i64,
}

/// Input and output tokens.
pub(super) type Counts = (i64, i64);

/// A row as it is stored: identity, sequence, counts.
pub(super) type Row = (Uuid, String, String, Option<i64>, i64, i64);

#[derive(Clone, Copy)]
struct Entry {
    /// Makes the counts of one identity differ from those of others.
    base: i64,
    sent: i64,
    acknowledged: Option<i64>,
}

/// Remembers every report.
#[derive(Default)]
pub(super) struct Ledger {
    entries: Mutex<HashMap<Identity, Entry>>,
    acknowledged: AtomicU64,
}

/// What was acknowledged at some moment.
pub(super) struct Acknowledged(HashMap<Identity, i64>);

/// Reports that the database has not, or otherwise than they were sent; some of them in words.
#[derive(Clone, Debug, Default)]
pub(super) struct Differences {
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) examples: Vec<String>,
}

fn counts(base: i64, version: i64) -> Counts {
    (base + 1_000 * version, version + 1)
}

impl Ledger {
    /// Notes that a report is about to be sent, and gives its counts.
    pub(super) fn send(&self, report: &Sent) -> Counts {
        let mut entries = self.entries.lock().unwrap();
        let base = i64::try_from(entries.len() % 997).unwrap();
        let new = Entry { base, sent: 0, acknowledged: None };
        let entry = entries.entry(report.identity.clone()).or_insert(new);
        entry.sent = entry.sent.max(report.version);
        counts(entry.base, report.version)
    }

    /// Notes that reports were acknowledged.
    pub(super) fn acknowledge(&self, reports: &[Sent]) {
        let mut entries = self.entries.lock().unwrap();
        for report in reports {
            let entry = entries.get_mut(&report.identity).expect("it was sent");
            entry.acknowledged = entry.acknowledged.max(Some(report.version));
        }
        self.acknowledged.fetch_add(u64::try_from(reports.len()).unwrap(), Ordering::Relaxed);
    }

    /// How many reports were acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// What is acknowledged now: from now on, all of it must be there.
    pub(super) fn now(&self) -> Acknowledged {
        let entries = self.entries.lock().unwrap();
        let acknowledged = entries.iter().filter_map(|(identity, entry)| Some((identity.clone(), entry.acknowledged?)));
        Acknowledged(acknowledged.collect())
    }

    /// Compares what is stored with what was sent until now. What was not acknowledged may or may not be there.
    pub(super) fn compare(&self, Acknowledged(mut missing): Acknowledged, rows: &[Row]) -> Differences {
        let entries = self.entries.lock().unwrap();
        let mut found = Differences::default();
        for row in rows {
            let (task, model, event_key, sequence, input, output) = row.clone();
            let identity = Identity { task, model, event_key };
            let version = sequence.unwrap_or_default();
            let acknowledged = missing.remove(&identity);
            let is_as_sent = entries
                .get(&identity)
                .is_some_and(|entry| version <= entry.sent && counts(entry.base, version) == (input, output));
            if !is_as_sent {
                found.doubled += 1;
                found.examples.push(format!("never sent so: {row:?}"));
            } else if acknowledged.is_some_and(|acknowledged| version < acknowledged) {
                found.lost += 1;
                found.examples.push(format!("acknowledged as number {acknowledged:?}: {row:?}"));
            }
        }
        found.lost += u64::try_from(missing.len()).unwrap();
        found.examples.extend(missing.keys().map(|identity| format!("acknowledged and not there: {identity:?}")));
        found.examples.truncate(10);
        found
    }

    /// How many identities there are, and the sums of their counts, once everything is acknowledged.
    pub(super) fn totals(&self) -> (i64, i64, i64) {
        let entries = self.entries.lock().unwrap();
        let mut totals = (0, 0, 0);
        for entry in entries.values() {
            assert_eq!(entry.acknowledged, Some(entry.sent), "something is still to be acknowledged");
            let (input, output) = counts(entry.base, entry.sent);
            totals = (totals.0 + 1, totals.1 + input, totals.2 + output);
        }
        totals
    }
}
