//! The private instance's data, taken from one major version of PostgreSQL to a newer one. `make test-majors` runs this.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Much longer than anything here takes when the machine is not busy.
const PATIENCE: Duration = Duration::from_mins(2);
/// How often to look for what is waited for.
const POLL: Duration = Duration::from_millis(5);
/// Usage rows: enough that an upgrade takes a while.
const ROWS: usize = 3_000;

fn old() -> OsString {
    std::env::var_os("TALLYBOOK_TEST_OLD_BIN").expect("run this with `make test-majors`")
}

fn new() -> OsString {
    std::env::var_os("PG_BIN").expect("run this with `make test-majors`")
}

fn both() -> OsString {
    std::env::join_paths([old(), new()]).unwrap()
}

fn tallybook(directory: &Path, bin: OsString, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallybook"));
    command.args(arguments.split_whitespace()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_remove("DATABASE_URL").env("TALLYBOOK_DATA_DIR", directory).env("PG_BIN", bin);
    command
}

fn told(directory: &Path, bin: OsString, arguments: &str) -> String {
    let Output { status, stdout, stderr } = tallybook(directory, bin, arguments).output().unwrap();
    let text = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    format!("{text}--- exit {}", status.code().unwrap())
}

/// A data directory of the old version, with usage that is pending, and a setting of its operator's.
fn old_data() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    let csv = directory.path().join("usage.csv");
    let lines = (0..ROWS).map(|n| format!("2024-{:02}-{:02}T00:00:00Z,{n},7\n", 1 + n % 12, 1 + n % 28));
    fs::write(&csv, format!("at,in,out\n{}", lines.collect::<String>())).unwrap();
    let import =
        format!("import csv {} --time at --input in --output out --provider =p --model =m --workspace one", csv.display());
    let imported = told(directory.path(), old(), &import);
    assert!(imported.ends_with("--- exit 0"), "{imported}");
    let cluster = directory.path().join("postgres");
    let (settings, owner) = (cluster.join("local.conf"), std::os::unix::fs::MetadataExt::uid(&cluster.metadata().unwrap()));
    fs::write(&settings, "work_mem = '17MB'\n").unwrap();
    chown(&settings, Some(owner), None).unwrap();
    directory
}

fn usage(directory: &Path, bin: OsString) -> String {
    let told = told(directory, bin, "usage --days 3000 --csv");
    assert!(told.ends_with("--- exit 0"), "{told}");
    told
}

fn version(cluster: &Path) -> String {
    fs::read_to_string(cluster.join("PG_VERSION")).unwrap().trim().to_owned()
}

#[test]
fn the_data_are_kept_until_they_are_upgraded_and_then_say_the_same() {
    let directory = old_data();
    let (path, cluster) = (directory.path(), directory.path().join("postgres"));
    let (before, from) = (usage(path, old()), version(&cluster));

    let refused = told(path, new(), "status");
    assert!(refused.contains(&format!("written by PostgreSQL {from}")) && refused.contains("upgrade-data"), "{refused}");
    assert!(refused.ends_with("--- exit 2"), "{refused}");
    let refused = told(path, new(), "upgrade-data");
    assert!(refused.contains(&format!("install `postgresql-{from}`")) && refused.ends_with("--- exit 2"), "{refused}");
    assert_eq!(version(&cluster), from);
    assert_eq!(usage(path, both()), before, "with both versions there the old data go on as they are");

    let upgraded = told(path, both(), "upgrade-data");
    assert!(upgraded.contains(&format!("Upgraded from PostgreSQL {from} to ")), "{upgraded}");
    assert!(upgraded.ends_with("--- exit 0"), "{upgraded}");
    assert_ne!(version(&cluster), from);
    assert_eq!(version(&path.join(format!("postgres.{from}"))), from, "the old data are kept");
    assert!(!path.join("upgrade").exists());
    assert_eq!(fs::read_to_string(cluster.join("local.conf")).unwrap(), "work_mem = '17MB'\n");
    assert_eq!(usage(path, new()), before);
    for arguments in ["fold", "verify", "doctor"] {
        let told = told(path, new(), arguments);
        assert!(told.ends_with("--- exit 0"), "{arguments}: {told}");
    }
    assert_eq!(usage(path, new()), before);
    let again = told(path, new(), "upgrade-data");
    assert!(again.starts_with("Nothing to do") && again.ends_with("--- exit 0"), "{again}");
}

#[test]
fn an_upgrade_that_is_killed_is_done_by_the_next_one() {
    let directory = old_data();
    let path = directory.path();
    let before = usage(path, old());
    for milestone in ["upgrade", "upgrade/postgres/PG_VERSION", "upgrade/backup/backup.json"] {
        let mut child = tallybook(path, both(), "upgrade-data").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while !path.join(milestone).exists() {
            assert!(began.elapsed() < PATIENCE, "{milestone} does not come");
            sleep(POLL);
        }
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
    }
    let upgraded = told(path, both(), "upgrade-data");
    assert!(upgraded.contains("Upgraded from") && upgraded.ends_with("--- exit 0"), "{upgraded}");
    assert_eq!(usage(path, new()), before);
}
