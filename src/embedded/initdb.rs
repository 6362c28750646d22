//! Makes the cluster: whole, or not at all.
//!
//! It is made in a directory beside its place, with its role and database, and then moved there. Whatever
//! kills us on the way leaves a directory that the next start removes.
use super::Error;
use super::binaries::Binaries;
use super::layout::Layout;
use super::settings;
use super::user::ServerUser;
use nix::unistd::syncfs;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Duration;

/// Begins the names of clusters in the making.
const UNFINISHED: &str = "postgres.unfinished-";
/// Locales in the order in which to try them: both sort by bytes, the first knows letters beyond ASCII.
const LOCALES: [&str; 2] = ["C.UTF-8", "C"];
/// How many lines of a failed program's output an error quotes.
const QUOTED_LINES_MAX: usize = 20;
/// How often to try to remove what somebody still writes to, and how long to wait in between.
const REMOVALS_MAX: u32 = 100;
const BETWEEN_REMOVALS: Duration = Duration::from_millis(50);
/// What a new cluster gets: a role without special rights that owns one database. Each statement is one line.
const BOOTSTRAP: &str = "\
create role tallybook login
grant pg_monitor to tallybook
create database tallybook owner tallybook
";

/// The major version of the cluster in `layout`; `None` where there is none yet.
pub(super) fn existing_major(layout: &Layout) -> Result<Option<u32>, Error> {
    let cluster = layout.cluster();
    match fs::read_to_string(cluster.join("PG_VERSION")) {
        Ok(text) => text.trim().parse().map(Some).map_err(|_| Error::NotACluster { cluster }),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("read", cluster.join("PG_VERSION"))(error)),
        // A directory that is missing or empty is to become the cluster.
        Err(_) if fs::read_dir(&cluster).is_ok_and(|mut entries| entries.next().is_some()) => Err(Error::NotACluster { cluster }),
        Err(_) => Ok(None),
    }
}

/// Makes the cluster. The caller holds the transition lock and has seen that there is none.
pub(super) fn create(layout: &Layout, binaries: &Binaries, user: &ServerUser) -> Result<(), Error> {
    let unfinished = layout.root().join(format!("{UNFINISHED}{}", uuid::Uuid::new_v4().simple()));
    let made = make(&unfinished, layout, binaries, user);
    if made.is_err() && unfinished.exists() {
        remove(&unfinished);
    }
    made
}

fn make(unfinished: &Path, layout: &Layout, binaries: &Binaries, user: &ServerUser) -> Result<(), Error> {
    DirBuilder::new().mode(0o700).create(unfinished).map_err(Error::file("create the directory", unfinished))?;
    user.give(unfinished).map_err(Error::file("hand over", unfinished))?;
    initdb(unfinished, layout, binaries, user)?;
    settings::write_once(unfinished, user)?;
    bootstrap(unfinished, layout, binaries, user)?;
    // One sync of the file system in place of one for each of a thousand files.
    let synced = File::open(unfinished).and_then(|directory| Ok(syncfs(directory)?));
    synced.map_err(Error::file("sync", unfinished))?;
    fs::rename(unfinished, layout.cluster()).map_err(Error::file("move the new cluster to", layout.cluster()))?;
    let synced = File::open(layout.root()).and_then(|directory| directory.sync_all());
    synced.map_err(Error::file("sync", layout.root()))
}

fn initdb(directory: &Path, layout: &Layout, binaries: &Binaries, user: &ServerUser) -> Result<(), Error> {
    let program = binaries.path("initdb");
    let mut failed = None;
    for locale in LOCALES {
        let mut command = user.command(&program);
        command.args(["--encoding=UTF8", "--data-checksums", "--auth=peer", "--no-instructions", "--no-sync"]);
        command.args([format!("--locale={locale}"), format!("--username={}", super::SUPERUSER)]).arg("--pgdata").arg(directory);
        let output = command.output().map_err(|error| user.spawn_error(&program, error))?;
        if output.status.success() {
            return Ok(());
        }
        let invalid_locale = String::from_utf8_lossy(&output.stderr).contains("invalid locale");
        failed = Some(output);
        if !invalid_locale {
            break;
        }
    }
    Err(init_error(layout, "initdb", &failed.expect("there is a locale to try")))
}

/// Runs [`BOOTSTRAP`] in a server without a socket, which ends with its input or at the first error.
fn bootstrap(directory: &Path, layout: &Layout, binaries: &Binaries, user: &ServerUser) -> Result<(), Error> {
    let program = binaries.path("postgres");
    let mut command = user.command(&program);
    // The included file of ours is written at each start, so there is none yet.
    let empty = directory.join("tallybook.conf");
    File::create(&empty).and_then(|_| user.give(&empty)).map_err(Error::file("write", &empty))?;
    command.args(["--single", "-c", "exit_on_error=on", "-c", "fsync=off", "-D"]).arg(directory).arg(super::SUPERUSER);
    let output = feed(&mut command, BOOTSTRAP).map_err(|error| user.spawn_error(&program, error))?;
    if output.status.success() { Ok(()) } else { Err(init_error(layout, "postgres --single", &output)) }
}

fn feed(command: &mut Command, input: &str) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let written = child.stdin.take().map_or(Ok(()), |mut stdin| stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output()?;
    // A server that failed before it read its input says more than the broken pipe does.
    if output.status.success() { written.map(|()| output) } else { Ok(output) }
}

fn init_error(layout: &Layout, program: &'static str, output: &Output) -> Error {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let output = super::log::last_lines(&text, QUOTED_LINES_MAX);
    Error::Init { data_dir: layout.root().to_owned(), program, output }
}

/// Removes what earlier starts left unfinished. The caller holds the transition lock.
pub(super) fn remove_unfinished(layout: &Layout) -> Result<(), Error> {
    let root = layout.root();
    for entry in fs::read_dir(root).map_err(Error::file("list", root))?.flatten() {
        if entry.file_name().to_str().is_some_and(|name| name.starts_with(UNFINISHED)) {
            remove(&entry.path());
        }
    }
    Ok(())
}

/// Removes an unfinished cluster. When a start was killed a moment ago, its `initdb` is still writing there, until it misses what
/// is removed; a directory that outlasts the patience for that is left to the next start.
fn remove(unfinished: &Path) {
    for attempt in 1.. {
        match fs::remove_dir_all(unfinished) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && attempt < REMOVALS_MAX => {
                thread::sleep(BETWEEN_REMOVALS);
            }
            Err(error) => {
                tracing::warn!(%error, directory = %unfinished.display(), "an unfinished cluster is left behind");
                return;
            }
            Ok(()) => return,
        }
    }
}
