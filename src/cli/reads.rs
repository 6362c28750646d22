//! The operator's way back: an option of the commands that read sums.
use crate::query::Reading;
use clap::builder::BoolishValueParser;

/// Where sums are read.
#[derive(Debug, clap::Args)]
pub(super) struct Reads {
    /// Read sums from the rollups; false: from the raw rows, which answer alike and slower.
    #[arg(
        long,
        env = "USAGE_DAILY_ROLLUP_ENABLED",
        hide_env_values = true,
        value_name = "BOOLEAN",
        default_value = "true",
        value_parser = BoolishValueParser::new(),
        action = clap::ArgAction::Set
    )]
    usage_daily_rollup_enabled: bool,
}

impl Reads {
    /// The choice.
    pub(super) fn reading(&self) -> Reading {
        if self.usage_daily_rollup_enabled { Reading::Rollups } else { Reading::Raw }
    }
}
