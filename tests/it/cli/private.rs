//! The private instance: it needs nothing but a directory.
use super::serve::Serving;
use super::{in_directory, transcript};
use nix::sys::signal::Signal;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use tempfile::TempDir;

/// A directory that the server's user can reach, also when we are root.
fn directory() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    directory
}

fn token(directory: &TempDir) -> String {
    let told = transcript(&mut in_directory(directory.path(), "token admin"));
    told.strip_suffix("\n--- exit 0\n").unwrap_or_else(|| panic!("{told}")).to_owned()
}

#[test]
fn a_first_start_makes_a_token_that_later_starts_keep() {
    let directory = directory();
    let before = transcript(&mut in_directory(directory.path(), "token admin"));
    assert!(before.contains("there is no admin token in") && before.ends_with("--- exit 2\n"), "{before}");

    let serving = Serving::start(&mut in_directory(directory.path(), "serve --listen 127.0.0.1:0"));
    assert!(serving.announced.contains("admin-token"), "{}", serving.announced);
    let file = directory.path().join("admin-token");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let first = token(&directory);
    assert_eq!(serving.get("/v1/workspaces", Some(&first)), Some(200));

    // Commands join the server that runs; a second service does not.
    let verified = transcript(&mut in_directory(directory.path(), "verify"));
    assert!(verified.ends_with("Exact.\n--- exit 0\n"), "{verified}");
    let second = transcript(&mut in_directory(directory.path(), "serve --log-level off --listen 127.0.0.1:0"));
    assert!(second.starts_with("--- standard error\ntallybook: ") && second.ends_with("--- exit 2\n"), "{second}");
    assert_eq!(second.lines().count(), 3, "{second}");
    let (status, told) = serving.stop(Signal::SIGINT);
    assert!(status.success(), "{told}");

    let serving = Serving::start(&mut in_directory(directory.path(), "serve --listen 127.0.0.1:0"));
    assert_eq!(token(&directory), first);
    assert!(serving.stop(Signal::SIGINT).0.success());

    // A token whose file is lost, or that others could have read, opens nothing any more.
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let serving = Serving::start(&mut in_directory(directory.path(), "serve --listen 127.0.0.1:0"));
    let new = token(&directory);
    assert_ne!(new, first);
    assert_eq!(serving.get("/v1/workspaces", Some(&first)), Some(401));
    assert_eq!(serving.get("/v1/workspaces", Some(&new)), Some(200));
    assert!(serving.stop(Signal::SIGINT).0.success());
}

#[test]
fn a_command_starts_the_private_server_for_as_long_as_it_needs_it() {
    let directory = directory();
    let status = transcript(&mut in_directory(directory.path(), "status"));
    assert!(status.ends_with("All is well.\n--- exit 0\n"), "{status}");
    assert!(!directory.path().join("postgres/postmaster.pid").exists());
}
