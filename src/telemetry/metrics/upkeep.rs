//! What this process does for the rollups: folds, slices of backfill, comparisons with raw usage.
use super::{Metrics, durations};
use crate::rollup::{verifier, worker};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::sync::Arc;
use std::time::Duration;

/// The fold loop's ticks.
pub struct Fold {
    /// Ticks, whatever came of them.
    pub ticks: Counter,
    /// Ticks that found another process at the rollups.
    pub contended: Counter,
    /// Rollup rows touched.
    pub rows: Counter,
    /// Ticks that failed.
    pub errors: Counter,
    /// How long a tick took that folded anything.
    pub duration_seconds: Histogram,
}

impl Fold {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let fold = Self {
            ticks: Counter::default(),
            contended: Counter::default(),
            rows: Counter::default(),
            errors: Counter::default(),
            duration_seconds: durations(),
        };
        registry.register("fold_ticks", "Folds tried, whatever came of them", fold.ticks.clone());
        registry.register(
            "fold_contended",
            "Folds that left it to somebody else, who was writing rollups at that moment",
            fold.contended.clone(),
        );
        registry.register("fold_rows", "Rollup rows that folds touched", fold.rows.clone());
        registry.register("fold_errors", "Folds that failed", fold.errors.clone());
        registry.register_with_unit(
            "fold_duration",
            "How long a fold took that found something to fold",
            Unit::Seconds,
            fold.duration_seconds.clone(),
        );
        fold
    }
}

/// Slices of history that the service covers by itself.
pub struct Backfill {
    /// Slices covered.
    pub slices: Counter,
    /// Rollup rows written.
    pub rows: Counter,
    /// How long a slice took.
    pub duration_seconds: Histogram,
}

impl Backfill {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let backfill = Self { slices: Counter::default(), rows: Counter::default(), duration_seconds: durations() };
        registry.register("backfill_slices", "Slices of history that this process covered", backfill.slices.clone());
        registry.register("backfill_rows", "Rollup rows that they wrote", backfill.rows.clone());
        registry.register_with_unit(
            "backfill_duration",
            "How long covering a slice took",
            Unit::Seconds,
            backfill.duration_seconds.clone(),
        );
        backfill
    }
}

/// The continuous verification's slices.
pub struct Verify {
    /// Slices compared with raw usage.
    pub slices: Counter,
    /// Keys in them.
    pub keys: Counter,
    /// Keys that differed; one that is not mended counts each time that it is looked at.
    pub drifted_keys: Counter,
    /// Slices that could not be compared.
    pub errors: Counter,
    /// How long comparing a slice took.
    pub duration_seconds: Histogram,
}

impl Verify {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let verify = Self {
            slices: Counter::default(),
            keys: Counter::default(),
            drifted_keys: Counter::default(),
            errors: Counter::default(),
            duration_seconds: durations(),
        };
        registry.register("verify_slices", "Slices of history compared with raw usage", verify.slices.clone());
        registry.register("verify_keys", "Keys compared with raw usage", verify.keys.clone());
        registry.register(
            "verify_drifted_keys",
            "Keys that differed from raw usage, counted each time that they were compared",
            verify.drifted_keys.clone(),
        );
        registry.register("verify_errors", "Slices that could not be compared", verify.errors.clone());
        registry.register_with_unit(
            "verify_duration",
            "How long comparing a slice took",
            Unit::Seconds,
            verify.duration_seconds.clone(),
        );
        verify
    }
}

/// The fold loop tells of each of its ticks.
impl worker::Observer for Arc<Metrics> {
    fn folded(&self, rows: i64, duration: Duration) {
        self.fold.ticks.inc();
        self.fold.rows.inc_by(natural(rows));
        if rows > 0 {
            self.fold.duration_seconds.observe(duration.as_secs_f64());
        }
    }

    fn contended(&self) {
        self.fold.ticks.inc();
        self.fold.contended.inc();
    }

    fn covered(&self, rows: i64, duration: Duration) {
        self.backfill.slices.inc();
        self.backfill.rows.inc_by(natural(rows));
        self.backfill.duration_seconds.observe(duration.as_secs_f64());
    }

    fn failed(&self) {
        self.fold.ticks.inc();
        self.fold.errors.inc();
    }
}

/// The continuous verifier tells of each of its slices.
impl verifier::Observer for Arc<Metrics> {
    fn verified(&self, keys: i64, drifted_keys: i64, duration: Duration) {
        self.verify.slices.inc();
        self.verify.keys.inc_by(natural(keys));
        self.verify.drifted_keys.inc_by(natural(drifted_keys));
        self.verify.duration_seconds.observe(duration.as_secs_f64());
    }

    fn could_not_verify(&self) {
        self.verify.errors.inc();
    }
}

fn natural(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
