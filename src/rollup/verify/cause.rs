//! Why there may be drift.
//!
//! What the database still shows is *found*; what has left no trace, such as rows that a session wrote as replica, can only be
//! *suspected*, and is said so.
use super::report::Report;
use crate::db::pool::PgPool;
use crate::doctor;
use serde_json::Value;

/// How sure a cause is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// It is there now and leads to drift. Whether it led to this one, nobody can tell.
    Found,
    /// It fits what differs, and has left no trace.
    Suspected,
}

/// What may have led to drift.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Cause {
    /// How sure it is.
    pub certainty: Certainty,
    /// What it is.
    pub what: String,
}

/// The finding that says no more than that there is drift.
const DRIFT: &str = "drift";

/// Looks for what may have led to the drift in a report; nothing where there is none.
pub async fn causes(pool: &PgPool, report: &Report) -> Result<Vec<Cause>, sqlx::Error> {
    if report.exact() {
        return Ok(Vec::new());
    }
    let examined = doctor::examine(pool).await?;
    let found = examined.dangers().filter(|finding| finding.code != DRIFT);
    let found = found.map(|f| Cause { certainty: Certainty::Found, what: format!("{}: {}", f.place, f.what) });
    Ok(found.chain(suspected(report)).collect())
}

/// What fits the differences that the report kept.
fn suspected(report: &Report) -> impl Iterator<Item = Cause> {
    let (mut gone, mut unseen, mut changed) = (0_usize, 0_usize, 0_usize);
    for drift in report.rollups.iter().flat_map(|rollup| &rollup.drift) {
        match (events(&drift.shown), events(&drift.raw)) {
            (Some(shown), Some(raw)) if shown > raw => gone += 1,
            (Some(shown), Some(raw)) if shown < raw => unseen += 1,
            _ => changed += 1,
        }
    }
    let total = gone + unseen + changed;
    let past = "by a session with session_replication_role = replica, or while a trigger was disabled";
    [
        (
            gone,
            "show more rows than there are",
            format!("rows were deleted or moved {past}, or truncated past the trigger that refuses it"),
        ),
        (
            unseen,
            "show fewer rows than there are",
            format!("rows were inserted or moved {past}, as a restore or logical replication does"),
        ),
        (changed, "show other sums of the same number of rows", format!("rows were updated {past}")),
    ]
    .into_iter()
    .filter(|(keys, ..)| *keys > 0)
    .map(move |(keys, show, why)| Cause {
        certainty: Certainty::Suspected,
        what: format!("{keys} of {total} differing keys looked at {show}: {why}; or the rollup's table was written by hand"),
    })
}

fn events(measures: &Value) -> Option<i64> {
    measures.get("event_count").and_then(Value::as_i64)
}

#[cfg(test)]
mod tests {
    use super::super::report::{Drift, RollupReport};
    use super::*;
    use jiff::Timestamp;
    use serde_json::json;

    /// A report of keys whose rollup shows so many rows where raw has so many.
    fn report(differing: &[(i64, i64)]) -> Report {
        let events = |n: i64| json!({ "event_count": n });
        let drift =
            differing.iter().map(|(shown, raw)| Drift { key: json!({}), shown: events(*shown), raw: events(*raw) }).collect();
        let mut rollup = RollupReport::new("a rollup".to_owned());
        rollup.drift = drift;
        let mut report = Report::new(Timestamp::UNIX_EPOCH, None);
        report.add(vec![rollup]);
        report
    }

    #[test]
    fn what_is_suspected_follows_from_which_side_has_more_rows() {
        let told = |differing: &[(i64, i64)]| suspected(&report(differing)).map(|cause| cause.what).collect::<Vec<_>>();
        let begin = |told: &[String], beginnings: &[&str]| {
            told.len() == beginnings.len() && told.iter().zip(beginnings).all(|(told, begun)| told.starts_with(begun))
        };
        let all = told(&[(3, 1), (1, 0), (2, 1), (0, 1), (4, 9), (7, 7)]);
        let expected = [
            "3 of 6 differing keys looked at show more rows than there are: rows were deleted or moved",
            "2 of 6 differing keys looked at show fewer rows than there are: rows were inserted or moved",
            "1 of 6 differing keys looked at show other sums of the same number of rows: rows were updated",
        ];
        assert!(begin(&all, &expected), "{all:#?}");
        let changed = told(&[(1, 1), (0, 0)]);
        let expected = ["2 of 2 differing keys looked at show other sums of the same number of rows: rows were updated"];
        assert!(begin(&changed, &expected), "{changed:#?}");
        assert!(told(&[]).is_empty());
    }
}
