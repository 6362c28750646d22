//! Where and how a run was made: machine, versions, settings.
use super::process::{bytes, field};
use super::results::About;
use super::{Bench, Error};
use crate::clock::Clock;
use jiff::tz::TimeZone;
use std::fs;

/// Settings of the server that decide how fast it is.
const SETTINGS: [&str; 12] = [
    "shared_buffers",
    "work_mem",
    "maintenance_work_mem",
    "max_wal_size",
    "checkpoint_timeout",
    "wal_level",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "autovacuum",
    "jit",
    "max_parallel_workers_per_gather",
];

pub(super) async fn about(bench: &Bench<'_>, commit: String) -> Result<About, Error> {
    let mut conn = bench.server.connect().await?;
    let postgresql: String = sqlx::query_scalar("select current_setting('server_version')").fetch_one(&mut conn).await?;
    let settings =
        sqlx::query_as("select name, current_setting(name) from unnest($1::text[]) with ordinality as s (name, n) order by n")
            .bind(SETTINGS.map(str::to_owned).to_vec())
            .fetch_all(&mut conn)
            .await?;
    Ok(About {
        date: Clock::system().now().to_zoned(TimeZone::UTC).date(),
        commit,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        is_optimized: !cfg!(debug_assertions),
        is_quick: bench.plan.scale.is_quick,
        sizes: bench.plan.sizes.clone(),
        seconds: bench.began.elapsed().as_secs(),
        processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned()),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: bytes("/proc/meminfo", "MemTotal").unwrap_or_default(),
        system: fs::read_to_string("/proc/sys/kernel/osrelease")
            .map_or_else(|_| "unknown".to_owned(), |text| format!("Linux {}", text.trim())),
        postgresql,
        settings,
    })
}
