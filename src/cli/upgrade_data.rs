//! `tallybook upgrade-data`: the private instance's data for a newer PostgreSQL.
use super::{Context, Outcome, verify};
use crate::backup::{self, Upgraded};
use crate::config::Place;
use anyhow::bail;

const AFTER_HELP: &str = "\
Both versions must be installed: the one that wrote the data, and the one that is to have them (the newest that is found). Stop the service first. The data are copied into a new cluster and verified there, then the two change places in one step; until then nothing changes, whatever happens. It needs as much free space again as the data take.

The old data are kept in the data directory, under the name of their version (`postgres.15`): remove them when you are content.

Exit codes:
  0  upgraded and exact, or nothing to upgrade
  1  upgraded, and there is drift, which was there before
  2  not upgraded; the data are as they were";

/// Take the private instance's data to the newest PostgreSQL that is installed.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {}

/// Upgrades, and prints what came of it.
pub(super) async fn run(_: Arguments, context: &mut Context) -> anyhow::Result<Outcome> {
    let Place::Private(data_dir) = &context.config.database else {
        bail!("only the private instance's data can be upgraded; a server of your own is upgraded as its documentation says");
    };
    let Some(Upgraded { from, to, restored, kept }) = backup::upgrade(data_dir, &context.clock).await? else {
        context.out.line("Nothing to do: there are no data of an older PostgreSQL than the newest one that is installed.")?;
        return Ok(Outcome::Done);
    };
    verify::print(&restored.verified, &mut context.out)?;
    context.out.line(format_args!("Upgraded from PostgreSQL {from} to {to}; the old data are kept in {}.", kept.display()))?;
    Ok(verify::outcome(&restored.verified))
}
