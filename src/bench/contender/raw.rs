//! No rollup at all: reads sum the raw rows, with the indexes that the source tables have.
use super::Design;

pub(super) fn design() -> Design {
    Design {
        name: "raw sums",
        install: None,
        fill: None,
        tick: None,
        read: include_str!("read_raw.sql").to_owned(),
        shown: include_str!("shown_raw.sql").to_owned(),
    }
}
