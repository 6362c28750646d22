//! A materialized view of the daily sums, refreshed concurrently: readers are never in the way, and all history is summed each time.
use super::Design;

pub(super) fn design() -> Design {
    Design {
        name: "materialized view",
        install: Some(include_str!("matview.sql")),
        fill: Some("refresh materialized view public.usage_daily"),
        tick: Some("refresh materialized view concurrently public.usage_daily"),
        read: include_str!("read_rollup.sql").replace("{rollup}", "public.usage_daily"),
        shown: include_str!("shown_rollup.sql").replace("{rollup}", "public.usage_daily"),
    }
}
