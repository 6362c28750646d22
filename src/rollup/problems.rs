//! What is wrong with the rollups, or will be, and what to do about it: the judgement of a status.
//!
//! Owns no question of its own: [`super::status`] reads. What could go wrong before it does is the business of [`crate::doctor`].
use super::drift::KnownDrift;
use super::status::Status;
use crate::db::migrate::State;
use std::time::Duration;

/// Change rows that have waited for so long have nobody who folds them.
const LAG_MAX: Duration = Duration::from_mins(10);
/// Every day should have been compared with raw usage within this time.
const CHECK_AGE_MAX: Duration = Duration::from_hours(30 * 24);

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Numbers may be wrong, or are about to be, or nobody keeps reads fast.
    Fault,
    /// It does no harm yet.
    Warning,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// A stable name of this kind of problem.
    pub code: &'static str,
    /// What it is.
    pub what: String,
    /// What to do.
    pub advice: String,
}

impl Problem {
    fn fault(code: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Fault, code, what: what.into(), advice: advice.into() }
    }

    fn warning(code: &'static str, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::fault(code, what, advice) }
    }
}

/// All that is wrong, the worst first, and what to do first before the rest of its kind.
pub fn problems(status: &Status) -> Vec<Problem> {
    let mut problems = Vec::new();
    if status.is_standby {
        let advice = "Look at the primary; where there is none any more, promote this one (`pg_ctl promote`).";
        problems.push(Problem::warning("standby", "the server is a standby: nothing can be written to it", advice));
    }
    problems.extend(status.capture_faults.iter().map(|fault| {
        let what = format!("changes are not captured, and nothing is folded: {fault}");
        Problem::fault("capture", what, "`tallybook doctor` has the SQL that mends it; then `tallybook verify`.")
    }));
    problems.extend(status.verification.drift.iter().map(drift));
    if let Some(error) = &status.last_run.error {
        let what = format!("the last fold failed: {error}");
        problems.push(Problem::fault("fold_failed", what, "Mend the cause; reads are exact meanwhile, and grow slower."));
    }
    problems.extend(lag(status));
    problems.extend(status.long_transactions.iter().map(|open| {
        let minutes = whole_minutes(open.seconds);
        if open.holds_fold_lock {
            let what = format!("{} has kept others from folding for {minutes} minutes", open.who);
            Problem::fault("fold_lock_held", what, "End its transaction, or the backend with `select pg_terminate_backend(pid)`.")
        } else {
            let what = format!("{} has had a transaction open for {minutes} minutes: dead rows stay as long", open.who);
            Problem::warning("long_transaction", what, "End it if nobody needs it: reads and folds grow slower beside it.")
        }
    }));
    problems.extend(coverage(status));
    problems.extend(verification(status));
    if status.migrations.iter().any(|m| m.state == State::Unknown) {
        let what = "a newer Tallybook has migrated the database";
        problems.push(Problem::warning("newer_schema", what, "Upgrade this one; it works meanwhile."));
    }
    problems.sort_by_key(|problem| problem.severity);
    problems
}

/// A rollup that is known to differ from raw usage.
fn drift(known: &KnownDrift) -> Problem {
    Problem::fault(
        "drift",
        drifted(known),
        "`tallybook doctor` looks for the cause; mend it, then `tallybook repair` rebuilds the days that differ.",
    )
}

/// The same, in words.
pub fn drifted(KnownDrift { rollup, keys, days, .. }: &KnownDrift) -> String {
    let counted = |number: &i64, one: &str| format!("{number} {one}{}", if *number == 1 { "" } else { "s" });
    format!("rollup {rollup} differs from raw usage in {} on {}", counted(keys, "key"), counted(days, "day"))
}

fn lag(status: &Status) -> Option<Problem> {
    let oldest = status.pending.oldest_seconds.filter(|seconds| *seconds > LAG_MAX.as_secs_f64())?;
    let what = format!("changes have waited for {} minutes to be folded", whole_minutes(oldest));
    let advice = "See that `tallybook serve` or a scheduler runs; `tallybook fold` does it now. Reads are exact meanwhile, and grow slower.";
    Some(Problem::fault("not_folded", what, advice))
}

fn coverage(status: &Status) -> impl Iterator<Item = Problem> {
    status.rollups.iter().filter(|rollup| rollup.uncovered_days > 0).map(|rollup| {
        let what =
            format!("rollup {} lacks {} of {} days, which are read from raw", rollup.name, rollup.uncovered_days, rollup.days);
        Problem::warning("not_covered", what, "`tallybook serve` covers them by itself; `tallybook backfill` does so at once.")
    })
}

fn verification(status: &Status) -> Option<Problem> {
    status.verification.oldest_check_seconds.filter(|seconds| *seconds > CHECK_AGE_MAX.as_secs_f64())?;
    let advice = "See that `tallybook serve` runs and logs no errors; `tallybook verify` compares all of them now.";
    Some(Problem::warning("not_verified", "some days have not been compared with raw usage for 30 days", advice))
}

/// So many seconds, in whole minutes.
fn whole_minutes(seconds: f64) -> u64 {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_secs() / 60
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::status::{self, LongTransaction};
    use crate::testing;

    fn codes(status: &Status) -> Vec<&'static str> {
        problems(status).iter().map(|problem| problem.code).collect()
    }

    #[tokio::test]
    async fn each_problem_has_its_bound_and_the_worst_comes_first() {
        let db = testing::database().await;
        let mut status = status::status(&db.pool).await.unwrap();
        assert_eq!(codes(&status), [""; 0]);
        status.pending.oldest_seconds = Some(600.0);
        status.verification.oldest_check_seconds = Some(2_592_000.0);
        assert_eq!(codes(&status), [""; 0]);
        status.verification.oldest_check_seconds = Some(2_592_001.0);
        status.pending.oldest_seconds = Some(601.0);
        assert_eq!(codes(&status), ["not_folded", "not_verified"]);
        let open = |holds_fold_lock| LongTransaction { who: "backend 1 (x)".to_owned(), seconds: 420.0, holds_fold_lock };
        status.long_transactions = vec![open(false), open(true)];
        status.is_standby = true;
        assert_eq!(codes(&status), ["not_folded", "fold_lock_held", "standby", "long_transaction", "not_verified"]);
        let told = &problems(&status)[1].what;
        assert_eq!(told, "backend 1 (x) has kept others from folding for 7 minutes");
    }

    #[tokio::test]
    async fn what_differs_and_what_is_not_covered_is_counted() {
        let db = testing::database().await;
        let mut status = status::status(&db.pool).await.unwrap();
        let rollup = status.rollups[0].name.clone();
        status.rollups[0].days = 10;
        status.rollups[0].uncovered_days = 3;
        status.verification.drift =
            vec![KnownDrift { rollup: rollup.clone(), keys: 1, days: 2, found_at: jiff::Timestamp::UNIX_EPOCH }];
        let told: Vec<_> = problems(&status).into_iter().map(|problem| (problem.code, problem.what)).collect();
        let differs = format!("rollup {rollup} differs from raw usage in 1 key on 2 days");
        let lacks = format!("rollup {rollup} lacks 3 of 10 days, which are read from raw");
        assert_eq!(told, [("drift", differs), ("not_covered", lacks)]);
    }
}
