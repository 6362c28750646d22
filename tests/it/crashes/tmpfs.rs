//! A small file system in memory: a disk that can be full.
use nix::unistd::{getegid, geteuid};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Mounts, waits for the end of its input, and unmounts: also when the test's process is killed.
const KEEPER: &str = r#"trap '' INT TERM HUP
mount -t tmpfs -o "$2" tmpfs "$1" || exit
echo mounted
cat > /dev/null
umount --lazy "$1""#;
/// What fills it.
const BALLAST: &str = "ballast";

/// A file system of its own, unmounted when this is dropped. It takes root, or `sudo` that asks for no password.
pub(super) struct Tmpfs {
    keeper: Child,
    directory: TempDir,
}

impl Tmpfs {
    /// Mounts one of so many MiB.
    pub(super) fn mount(mebibytes: u32) -> Self {
        let directory = super::instance::directory();
        let options = format!("size={mebibytes}m,mode=0755,uid={},gid={}", geteuid(), getegid());
        let mut command = if geteuid().is_root() { Command::new("sh") } else { Command::new("sudo") };
        if !geteuid().is_root() {
            command.args(["-n", "sh"]);
        }
        command.args(["-c", KEEPER, "sh"]).arg(directory.path()).arg(options);
        let mut keeper = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n", "cannot mount a tmpfs: this test needs root, or sudo without a password");
        Self { keeper, directory }
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Takes all the space that is left.
    pub(super) fn fill(&self) {
        let mut file = OpenOptions::new().append(true).create(true).open(self.ballast()).unwrap();
        for block in [1 << 20, 1 << 12] {
            while write(&mut file, block) {}
        }
    }

    /// Gives it back.
    pub(super) fn empty(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn ballast(&self) -> PathBuf {
        self.path().join(BALLAST)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
    }
}

/// Whether there was room.
fn write(file: &mut File, bytes: usize) -> bool {
    match file.write_all(&vec![0; bytes]) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::StorageFull => false,
        Err(error) => panic!("{error}"),
    }
}
