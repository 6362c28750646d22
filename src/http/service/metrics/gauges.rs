//! Gauges of what was read.
use super::parts::{Pending, Read, Table, Upkeep};
use crate::rollup::backfill::Progress;
use crate::rollup::status::{Rollup, Verification};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// A gauge of seconds or shares.
type Real = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfTable {
    table: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRollup {
    rollup: String,
}

pub(super) fn register(read: Read, registry: &mut Registry) {
    match read {
        Read::Pending(told) => pending(&told, registry),
        Read::Upkeep(told) => upkeep(&told, registry),
        Read::Rollups(told) => rollups(&told, registry),
        Read::Backfill(told) => backfill(&told, registry),
        Read::Verification(told) => verification(&told, registry),
        Read::Storage(tables, database_bytes) => storage(tables, database_bytes, registry),
        Read::Transactions(oldest_seconds) => {
            let help = "Age of the oldest open transaction that keeps dead rows; 0 when there is none";
            registry.register_with_unit("oldest_transaction", help, Unit::Seconds, real(oldest_seconds));
        }
    }
}

fn pending(told: &Pending, registry: &mut Registry) {
    let rows = Family::<OfKind, Gauge>::default();
    registry.register("pending_rows", "Change rows that are not folded yet; reads count them in", rows.clone());
    let kinds = [
        ("usage", told.usage_rows),
        ("task", told.task_rows),
        ("agent", told.agent_rows),
        ("issue", told.issue_rows),
        ("sealed", told.sealed_rows),
    ];
    for (kind, number) in kinds {
        rows.get_or_create(&OfKind { kind }).set(number);
    }
    let help = "Age of the oldest change row that is not folded; 0 when there is none";
    registry.register_with_unit("lag", help, Unit::Seconds, real(told.lag_seconds));
}

fn upkeep(told: &Upkeep, registry: &mut Registry) {
    registry.register("capture_faults", "Triggers that are missing or disabled", whole(told.capture_faults));
    registry.register("fold_failing", "Whether the last fold of any process failed", whole(told.fold_failing.into()));
    if let Some(seconds) = told.fold_last_success_seconds {
        let help = "When the last fold that did not fail ended, since 1970";
        registry.register_with_unit("fold_last_success_timestamp", help, Unit::Seconds, real(seconds));
    }
    if let Some(rows) = told.fold_last_rows {
        registry.register("fold_last_rows", "Rollup rows that it touched", whole(rows));
    }
}

fn rollups(told: &[Rollup], registry: &mut Registry) {
    let mut family = |name: &str, help: &str, value: fn(&Rollup) -> i64, unit: Option<Unit>| {
        let family = Family::<OfRollup, Gauge>::default();
        match unit {
            Some(unit) => registry.register_with_unit(name, help, unit, family.clone()),
            None => registry.register(name, help, family.clone()),
        }
        for rollup in told {
            family.get_or_create(&OfRollup { rollup: rollup.name.clone() }).set(value(rollup));
        }
    };
    family("rollup_covered", "Whether a rollup holds all history", |r| r.is_covered().into(), None);
    family(
        "rollup_uncovered_days",
        "UTC days with usage between the first and the coverage, read from raw",
        |r| r.uncovered_days,
        None,
    );
    family("drifted_keys", "Keys of a rollup that are known to differ from raw usage", |r| r.drifted_keys, None);
    family("drifted_days", "UTC days on which they lie", |r| r.drifted_days, None);
    family("rollup_rows", "Rows of a rollup, as the planner estimates them", |r| r.rows_estimated, None);
    family("rollup_size", "Size of a rollup with its indexes", |r| r.size_bytes, Some(Unit::Bytes));
    let since = Family::<OfRollup, Gauge>::default();
    let help = "From when on a rollup is complete, where it holds some history and not all of it, since 1970";
    registry.register_with_unit("rollup_covered_from_timestamp", help, Unit::Seconds, since.clone());
    for rollup in told {
        if let Some(from) = rollup.covered_from {
            since.get_or_create(&OfRollup { rollup: rollup.name.clone() }).set(from.as_second());
        }
    }
}

/// How far backfill is, by whoever it is done.
fn backfill(told: &[Progress], registry: &mut Registry) {
    let left = Family::<OfRollup, Gauge>::default();
    registry.register("backfill_rows_left", "Raw rows on days that a rollup does not cover; reads count them in", left.clone());
    for of in told {
        left.get_or_create(&OfRollup { rollup: of.rollup.clone() }).set(of.raw_rows_left);
    }
    if let Some(rate) = told.iter().find_map(|of| of.rows_per_second) {
        registry.register("backfill_rows_per_second", "Raw rows a second of the last slices, pauses included", real(rate));
    }
}

/// What the continuous verification of all processes together has come to.
fn verification(told: &Verification, registry: &mut Registry) {
    let help = "Share of the days from the first usage to the last that have been compared with it at all";
    registry.register("verify_coverage_ratio", help, real(told.coverage));
    if let Some(seconds) = told.oldest_check_seconds {
        let help = "Every day has been compared within this time";
        registry.register_with_unit("verify_oldest_check_age", help, Unit::Seconds, real(seconds));
    }
    if let Some(at) = told.checked_at {
        let help = "When days were compared last, since 1970";
        registry.register_with_unit("verify_last_check_timestamp", help, Unit::Seconds, whole(at.as_second()));
    }
}

fn storage(tables: Vec<Table>, database_bytes: i64, registry: &mut Registry) {
    registry.register_with_unit("database_size", "Size of the database", Unit::Bytes, whole(database_bytes));
    let (size, rows, dead) = (Family::<OfTable, Gauge>::default(), Family::<OfTable, Gauge>::default(), Family::default());
    registry.register_with_unit(
        "table_size",
        "Size of a source table or a change table with its indexes",
        Unit::Bytes,
        size.clone(),
    );
    registry.register("table_rows", "Its rows, as the planner estimates them", rows.clone());
    registry.register("table_dead_rows", "Its dead rows that vacuum has not removed, as the server estimates them", dead.clone());
    for Table { name, size_bytes, rows_estimated, dead_rows } in tables {
        let of = OfTable { table: name };
        size.get_or_create(&of).set(size_bytes);
        rows.get_or_create(&of).set(rows_estimated);
        Family::<OfTable, Gauge>::get_or_create(&dead, &of).set(dead_rows);
    }
}

fn whole(value: i64) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(value);
    gauge
}

fn real(value: f64) -> Real {
    let gauge = Real::default();
    gauge.set(value);
    gauge
}
