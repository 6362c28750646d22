//! The server's settings: what we decide, written at every start, and where an operator may add to it.
//!
//! `postgresql.conf` is initdb's and is never touched again. It includes `tallybook.conf`, which is ours,
//! and then `local.conf`, which is the operator's and wins.
use super::Error;
use super::layout::{Layout, PORT};
use super::user::ServerUser;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Ends initdb's `postgresql.conf`.
const INCLUDES: &str = "
# Added by tallybook.
include 'tallybook.conf'          # tallybook's settings, rewritten at every start
include_if_exists 'local.conf'    # yours; they win
";
/// Who may connect: through the socket, as the kernel says who they are.
const HBA: &str = "\
# Written by tallybook when it made this cluster. There is no password and no network port: the socket lies in
# a closed directory, and the kernel tells the server who connects. pg_ident.conf says who may be whom.
# TYPE  DATABASE     USER  METHOD
local   all          all   peer map=tallybook
local   replication  all   peer map=tallybook
";
const MIB: u64 = 1 << 20;

/// Writes the files that are made once, into the fresh cluster in `cluster`.
pub(super) fn write_once(cluster: &Path, user: &ServerUser) -> Result<(), Error> {
    let path = cluster.join("postgresql.conf");
    let added = OpenOptions::new().append(true).open(&path).and_then(|mut file| {
        file.write_all(INCLUDES.as_bytes())?;
        file.sync_all()
    });
    added.map_err(Error::file("write", &path))?;
    replace(&cluster.join("pg_hba.conf"), HBA, user)
}

/// Writes the files that are ours, for the next start.
pub(super) fn write_each_start(layout: &Layout, socket_directory: &Path, user: &ServerUser) -> Result<(), Error> {
    let cluster = layout.cluster();
    replace(&cluster.join("tallybook.conf"), &conf(socket_directory, memory_bytes()), user)?;
    replace(&cluster.join("pg_ident.conf"), &ident(&user.name), user)
}

/// Our part of the configuration, for a machine with that much memory.
fn conf(socket_directory: &Path, memory_bytes: u64) -> String {
    let memory = memory_bytes / MIB;
    let (shared_buffers, cache) = ((memory / 8).clamp(64, 2048), (memory / 2).max(128));
    let maintenance = (memory / 32).clamp(64, 512);
    let socket_directory = socket_directory.display();
    format!(
        "\
# Written by tallybook at every start: put settings of your own in local.conf, beside this file.

# Reached through a socket only.
listen_addresses = ''
unix_socket_directories = '{socket_directory}'
unix_socket_permissions = 0700
port = {PORT}
cluster_name = 'tallybook'
max_connections = 100

# What was acknowledged survives a crash of anything.
fsync = on
full_page_writes = on
synchronous_commit = on
recovery_init_sync_method = syncfs

# Sized for this machine, which has other things to do as well.
shared_buffers = {shared_buffers}MB
effective_cache_size = {cache}MB
maintenance_work_mem = {maintenance}MB
work_mem = 16MB
huge_pages = off
max_wal_size = 2GB
checkpoint_timeout = 15min
wal_compression = on
random_page_cost = 1.1
jit = off

# The log is postgres.log in the data directory.
logging_collector = off
log_destination = 'stderr'
log_line_prefix = '%m [%p] '
log_checkpoints = off
log_timezone = 'UTC'
timezone = 'UTC'
lc_messages = 'C'
"
    )
}

/// Who may be which role: root and the server's user may be either of the two that we made.
fn ident(server_user: &str) -> String {
    let mut users = vec!["root", server_user];
    users.dedup();
    let lines = users.iter().flat_map(|user| {
        [super::ROLE, super::SUPERUSER].map(|role| format!("tallybook  \"{}\"  {role}\n", user.replace('"', "\"\"")))
    });
    format!("# Written by tallybook at every start.\n# MAP  SYSTEM-USER  ROLE\n{}", lines.collect::<String>())
}

/// Replaces a file as a whole, or not at all.
fn replace(path: &Path, text: &str, user: &ServerUser) -> Result<(), Error> {
    let new = path.with_extension("new");
    let mut options = OpenOptions::new();
    let opened = options.write(true).create(true).truncate(true).mode(0o600).open(&new);
    let write = |mut file: File| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        user.give(&new)?;
        fs::rename(&new, path)
    };
    opened.and_then(write).map_err(Error::file("write", path))
}

/// How much memory this machine has, or the control group that we run in.
fn memory_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let kib: u64 =
            text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kib * 1024)
    });
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(group).min().unwrap_or(1024 * MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_are_durable_and_there_is_no_network_port() {
        let conf = conf(Path::new("/data/socket"), 8 << 30);
        for line in ["fsync = on", "full_page_writes = on", "synchronous_commit = on", "listen_addresses = ''"] {
            assert!(conf.lines().any(|l| l == line), "{line} is missing");
        }
        assert!(conf.contains("shared_buffers = 1024MB"));
    }

    #[test]
    fn sizes_stay_within_bounds_on_tiny_and_huge_machines() {
        assert!(conf(Path::new("/s"), 0).contains("shared_buffers = 64MB"));
        assert!(conf(Path::new("/s"), 1 << 50).contains("shared_buffers = 2048MB"));
        assert!(memory_bytes() > 0);
    }

    #[test]
    fn root_and_the_servers_user_may_connect_and_nobody_else() {
        assert_eq!(ident("ann").lines().filter(|line| !line.starts_with('#')).count(), 4);
        assert!(ident("ann").contains("tallybook  \"ann\"  tallybook\n"));
    }
}
