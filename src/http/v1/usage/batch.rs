//! The reports of a request as they came: taken in no further than a request may go, whatever is sent.
use crate::ingest::Limits;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::fmt;

/// The first [`Limits::REPORTS_MAX`] reports, and how many there were.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) reports: Vec<Box<RawValue>>,
    pub(super) given: usize,
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Reports)
    }
}

struct Reports;

impl<'de> Visitor<'de> for Reports {
    type Value = Batch;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Batch, A::Error> {
        let mut reports = Vec::new();
        while reports.len() < Limits::REPORTS_MAX
            && let Some(report) = sequence.next_element()?
        {
            reports.push(report);
        }
        let mut given = reports.len();
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            given += 1;
        }
        Ok(Batch { reports, given })
    }
}
