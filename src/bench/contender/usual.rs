//! The usual design: a watermark on `updated_at` with a lag of five minutes, a dirty queue, and recompute of dirty buckets.
use super::Design;

/// Its own backfill, month by month.
pub(in crate::bench) const BACKFILL: &str = include_str!("usual_backfill.sql");

pub(super) fn design() -> Design {
    Design {
        name: "usual design",
        install: Some(include_str!("usual.sql")),
        fill: Some(include_str!("usual_fill.sql")),
        tick: Some(include_str!("usual_tick.sql")),
        read: include_str!("read_rollup.sql").replace("{rollup}", "public.task_usage_daily"),
        shown: include_str!("shown_rollup.sql").replace("{rollup}", "public.task_usage_daily"),
    }
}
