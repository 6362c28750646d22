//! Finds PostgreSQL's server programs on this machine.
//!
//! `PG_BIN` (a directory, or several with colons between) decides alone when it is set; else `pg_config` and the places where distributions install are
//! asked. New data get the newest version found, existing data the one that wrote them.
use super::Error;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest version that the schema works with.
pub(super) const OLDEST_MAJOR: u32 = 15;
/// Where Debian and Ubuntu install: one `<version>/bin` each.
const DISTRIBUTION_ROOT: &str = "/usr/lib/postgresql";

/// The programs of one installed version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binaries {
    /// The major version, such as 15.
    pub(super) major: u32,
    directory: PathBuf,
}

impl Binaries {
    /// The path of `program`.
    pub(super) fn path(&self, program: &str) -> PathBuf {
        self.directory.join(program)
    }

    /// The programs in `directory`, where they are a whole server.
    fn in_directory(directory: PathBuf) -> Option<Self> {
        if !directory.join("initdb").exists() {
            return None;
        }
        let version = output(Command::new(directory.join("postgres")).arg("--version"))?;
        Some(Self { major: major_of(&version)?, directory })
    }
}

/// Every version that this machine has, in the order in which to prefer them, whatever their age.
#[derive(Debug)]
pub(super) struct Installed {
    all: Vec<Binaries>,
    looked: Vec<String>,
}

/// Looks for the server's programs.
pub(super) fn installed() -> Installed {
    look(named(), Path::new(DISTRIBUTION_ROOT))
}

/// The newest of the programs of that name, if it is of version `at_least` or newer; else where we looked, and what was there.
/// A client's programs are installed without a server's, too.
pub(crate) fn client_program(name: &str, at_least: u32) -> Result<PathBuf, String> {
    let (directories, mut looked) = places(named(), Path::new(DISTRIBUTION_ROOT));
    let version = |program: &PathBuf| output(Command::new(program).arg("--version")).and_then(|text| major_of(&text));
    let programs = directories.into_iter().map(|directory| directory.join(name));
    let newest = programs.filter_map(|program| Some((version(&program)?, program))).max_by_key(|(major, _)| *major);
    match newest {
        Some((major, program)) if major >= at_least => Ok(program),
        Some((major, _)) => {
            looked.push(format!("version {major} is the newest"));
            Err(looked.join(", "))
        }
        None => Err(looked.join(", ")),
    }
}

fn named() -> Option<OsString> {
    env::var_os("PG_BIN").filter(|value| !value.is_empty())
}

fn look(named: Option<OsString>, root: &Path) -> Installed {
    let (directories, looked) = places(named, root);
    // The newest first; of equals, the one that was found first. A directory may be found twice.
    let mut newest: BTreeMap<Reverse<u32>, Binaries> = BTreeMap::new();
    for binaries in directories.into_iter().filter_map(Binaries::in_directory) {
        newest.entry(Reverse(binaries.major)).or_insert(binaries);
    }
    Installed { all: newest.into_values().collect(), looked }
}

/// The directories where programs may be, and how we came to them.
fn places(named: Option<OsString>, root: &Path) -> (Vec<PathBuf>, Vec<String>) {
    let mut looked = Vec::new();
    let mut directories: Vec<PathBuf> = Vec::new();
    if let Some(named) = named {
        looked.push(format!("PG_BIN={}", named.display()));
        directories.extend(env::split_paths(&named));
    } else {
        looked.push("`pg_config --bindir`".to_owned());
        directories.extend(output(Command::new("pg_config").arg("--bindir")).map(|text| PathBuf::from(text.trim())));
        looked.push(format!("{}/*/bin", root.display()));
        directories.extend(root.read_dir().into_iter().flatten().flatten().map(|entry| entry.path().join("bin")));
    }
    (directories, looked)
}

impl Installed {
    /// The programs for new data.
    pub(super) fn newest(self) -> Result<Binaries, Error> {
        let old: Vec<String> = self.all.iter().map(|binaries| format!("version {} is too old", binaries.major)).collect();
        let looked = self.looked.into_iter().chain(old).collect::<Vec<_>>().join(", ");
        self.all.into_iter().find(|binaries| binaries.major >= OLDEST_MAJOR).ok_or(Error::NoBinaries { looked })
    }

    /// The programs for the data in `cluster`, which version `major` wrote.
    pub(super) fn of_major(self, major: u32, cluster: &Path) -> Result<Binaries, Error> {
        if self.all.is_empty() {
            return self.newest();
        }
        let found: Vec<String> = self.all.iter().map(|binaries| binaries.major.to_string()).collect();
        self.all
            .into_iter()
            .find(|binaries| binaries.major == major && major >= OLDEST_MAJOR)
            .ok_or_else(|| Error::WrongVersion { cluster: cluster.to_owned(), has: major, found: found.join(", ") })
    }
}

/// What a program wrote, if it ran and succeeded.
fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The major version in `postgres (PostgreSQL) 15.8 (Debian 15.8-1)`, `... 19devel` or `... 18rc1`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let digits = number.find(|c: char| !c.is_ascii_digit()).unwrap_or(number.len());
    number[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_the_server_says() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 19devel\n"), Some(19));
        assert_eq!(major_of("postgres (PostgreSQL) 18rc1"), Some(18));
        assert_eq!(major_of("something else 12"), None);
    }

    #[test]
    fn the_machine_has_a_server_for_these_tests() {
        assert!(installed().newest().unwrap().path("initdb").exists());
    }

    #[test]
    fn missing_programs_are_an_error_that_names_the_package() {
        let error = look(Some("/nowhere".into()), Path::new("/none")).newest().unwrap_err().to_string();
        assert!(error.contains("apt-get install postgresql"), "{error}");
        assert!(error.contains("PG_BIN=/nowhere"), "{error}");
    }

    #[test]
    fn data_of_another_version_are_not_touched() {
        let error = installed().of_major(9, Path::new("/data")).unwrap_err();
        assert!(matches!(error, Error::WrongVersion { has: 9, .. }), "{error}");
        assert!(error.to_string().contains("postgresql-9"), "{error}");
    }

    #[test]
    fn the_newest_version_is_preferred_and_an_old_one_is_named() {
        let root = tempfile::tempdir().unwrap();
        for version in ["14.1", "17.2", "15.3"] {
            let bin = root.path().join(version).join("bin");
            std::fs::create_dir_all(&bin).unwrap();
            std::fs::write(bin.join("initdb"), "").unwrap();
            fake_program(&bin.join("postgres"), &format!("#!/bin/sh\necho 'postgres (PostgreSQL) {version}'\n"));
        }
        let among = |versions: &[&str]| {
            let all = versions.iter().filter_map(|v| Binaries::in_directory(root.path().join(v).join("bin"))).collect();
            Installed { all, looked: vec!["here".to_owned()] }
        };
        let all: Vec<u32> = look(None, root.path()).all.iter().map(|b| b.major).collect();
        assert!(all.is_sorted_by(|a, b| a > b) && all.contains(&17) && all.contains(&14), "{all:?}");
        let error = among(&["14.1"]).newest().unwrap_err().to_string();
        assert!(error.contains("version 14 is too old"), "{error}");
        assert_eq!(among(&["17.2", "15.3"]).of_major(15, Path::new("/data")).unwrap().major, 15);
    }

    /// Writes an executable from a process of its own: were the file open for writing in this one, a
    /// child that another test forks meanwhile would keep it busy.
    fn fake_program(path: &Path, script: &str) {
        let write = "printf %s \"$2\" > \"$1\" && chmod 755 \"$1\"";
        assert!(Command::new("sh").args(["-c", write, "sh"]).arg(path).arg(script).status().unwrap().success());
    }
}
