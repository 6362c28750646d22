//! Synchronous counters: a row-level trigger adds each write to the rollup's row in the writer's own transaction.
use super::Design;

pub(super) fn design() -> Design {
    Design {
        name: "synchronous counters",
        install: Some(include_str!("counters.sql")),
        fill: Some(include_str!("counters_backfill.sql")),
        tick: None,
        read: include_str!("read_rollup.sql").replace("{rollup}", "public.usage_daily"),
        shown: include_str!("shown_counters.sql").to_owned(),
    }
}
