//! Takes the private instance's data to a newer major version of PostgreSQL: by a dump and a restore, which is verified.
use super::{Error, Restored, dump, restore};
use crate::clock::Clock;
use crate::db::database::blocking;
use crate::db::pool;
use crate::embedded::Upgrade;
use std::path::{Path, PathBuf};

/// Connections to each of the two servers.
const CONNECTIONS_MAX: u32 = 2;

/// What came of it.
#[derive(Debug)]
pub struct Upgraded {
    /// The version that the data had.
    pub from: u32,
    /// The version that they have.
    pub to: u32,
    /// What was copied, and the comparison of it.
    pub restored: Restored,
    /// Where the old data are.
    pub kept: PathBuf,
}

/// Upgrades the data in `data_dir`, which nobody may use meanwhile. `None` where there is nothing to upgrade.
pub async fn upgrade(data_dir: &Path, clock: &Clock) -> Result<Option<Upgraded>, Error> {
    let data_dir = data_dir.to_owned();
    let Some(upgrade) = blocking(move || Upgrade::begin(&data_dir)).await? else { return Ok(None) };
    let (from, to) = (upgrade.from, upgrade.to);
    match copy(&upgrade, clock).await {
        Ok(restored) => {
            let kept = blocking(move || upgrade.finish()).await?;
            Ok(Some(Upgraded { from, to, restored, kept }))
        }
        Err(error) => {
            if let Err(also) = blocking(move || upgrade.abandon()).await {
                tracing::warn!(error = %also, "an upgrade that failed left something behind");
            }
            Err(error)
        }
    }
}

async fn copy(upgrade: &Upgrade, clock: &Clock) -> Result<Restored, Error> {
    let [old, new] = [upgrade.old_options(), upgrade.new_options()].map(|options| pool::lazy(options, None, CONNECTIONS_MAX));
    let between = upgrade.directory().join("backup");
    let copied = async {
        let manifest = dump(&old, &between, clock.now()).await?;
        restore(&new, &between, manifest).await
    };
    let restored = copied.await;
    old.close().await;
    new.close().await;
    restored
}
