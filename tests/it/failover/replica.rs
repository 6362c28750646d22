//! A replica of a test's cluster: made by `pg_basebackup`, promoted by `pg_ctl`.
use crate::outage::cluster::Cluster;
use crate::outage::{PATIENCE, POLL, blocking};
use nix::unistd::{User, geteuid};
use sqlx::{Connection, Executor, PgConnection};
use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

/// A program of PostgreSQL's, run as the user that servers run as.
fn program(name: &str) -> Command {
    let found = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/postgres-bin")).output().unwrap();
    let bin = PathBuf::from(String::from_utf8(found.stdout).unwrap().trim());
    let mut command = Command::new(bin.join(name));
    if geteuid().is_root() {
        let user = User::from_name("postgres").unwrap().unwrap();
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command.current_dir("/");
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Where the primary is, for libpq.
fn address(primary: &Cluster) -> String {
    let options = primary.superuser();
    format!("host={} port={} user=postgres", options.get_socket().unwrap().display(), options.get_port())
}

/// A running replica, which follows the primary.
pub(super) async fn of(primary: &Cluster) -> Cluster {
    let directory = Cluster::directory();
    let data = directory.path().join("postgres");
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, Permissions::from_mode(0o700)).unwrap();
    give(&data);
    let address = address(primary);
    blocking(move || {
        run(program("pg_basebackup")
            .args(["--write-recovery-conf", "--checkpoint=fast", "--dbname", &address])
            .arg("-D")
            .arg(&data));
        let mut settings = fs::OpenOptions::new().append(true).open(data.join("postgresql.auto.conf")).unwrap();
        writeln!(settings, "primary_conninfo = '{address} application_name=replica'").unwrap();
    })
    .await;
    blocking(move || Cluster::start_in(directory)).await
}

fn give(path: &Path) {
    if geteuid().is_root() {
        let user = User::from_name("postgres").unwrap().unwrap();
        chown(path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
}

/// From now on a commit waits until the replica has it on disk.
pub(super) async fn make_synchronous(primary: &Cluster) {
    let mut connection = PgConnection::connect_with(&primary.superuser()).await.unwrap();
    connection.execute("alter system set synchronous_standby_names = 'replica'").await.unwrap();
    connection.execute("select pg_reload_conf()").await.unwrap();
    let is_synchronous = "select exists (select from pg_stat_replication where state = 'streaming' and sync_state = 'sync')";
    wait_for(&mut connection, is_synchronous).await;
    let shown = "select current_setting('synchronous_standby_names') = 'replica'";
    assert!(sqlx::query_scalar::<_, bool>(shown).fetch_one(&mut connection).await.unwrap());
}

/// What it shows is exact while it follows: it is read with the now-views, as the primary is.
pub(super) async fn assert_exact(standby: &Cluster) {
    let mut connection = PgConnection::connect_with(&standby.superuser().database("tallybook")).await.unwrap();
    assert!(sqlx::query_scalar::<_, bool>("select pg_is_in_recovery()").fetch_one(&mut connection).await.unwrap());
    let differing: (i64, i64, i64) =
        sqlx::query_as(include_str!("../races/exact.sql")).bind(false).fetch_one(&mut connection).await.unwrap();
    assert_eq!(differing, (0, 0, 0), "keys differ on a replica");
    let rows: i64 = sqlx::query_scalar("select count(*) from public.task_usage").fetch_one(&mut connection).await.unwrap();
    assert!(rows > 0, "the replica has what was reported");
}

/// Makes it a primary.
pub(super) async fn promote(standby: &Cluster) {
    let data = standby.data();
    blocking(move || run(program("pg_ctl").args(["promote", "--wait", "-D"]).arg(data))).await;
    let mut connection = PgConnection::connect_with(&standby.superuser()).await.unwrap();
    wait_for(&mut connection, "select not pg_is_in_recovery()").await;
}

async fn wait_for(connection: &mut PgConnection, holds: &'static str) {
    let began = Instant::now();
    while !sqlx::query_scalar::<_, bool>(holds).fetch_one(&mut *connection).await.unwrap() {
        assert!(began.elapsed() < PATIENCE, "waited in vain: {holds}");
        tokio::time::sleep(POLL).await;
    }
}
