//! Migrations that were released are never edited: `migrations/frozen.sha256` holds their checksums, as `sha256sum` writes them.
//! `make freeze-migrations` adds those of a release.
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const MIGRATIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
const LIST: &str = "frozen.sha256";

/// What differs from the list: files that were edited, or are gone.
fn broken(directory: &Path, list: &str) -> Vec<String> {
    let frozen: BTreeMap<&str, &str> =
        list.lines().filter_map(|line| line.split_once("  ")).map(|(sum, file)| (file, sum)).collect();
    let broken = frozen.iter().filter(|(file, sum)| fs::read(directory.join(file)).map_or(true, |text| checksum(&text) != **sum));
    broken.map(|(file, _)| (*file).to_owned()).collect()
}

fn checksum(text: &[u8]) -> String {
    hex::encode(Sha256::digest(text))
}

#[test]
fn what_was_released_is_as_it_was() {
    let list = fs::read_to_string(Path::new(MIGRATIONS).join(LIST)).unwrap();
    let broken = broken(Path::new(MIGRATIONS), &list);
    assert!(broken.is_empty(), "{broken:?} were released and must not change; add another migration instead");
    for line in list.lines() {
        let (sum, file) = line.split_once("  ").unwrap_or_else(|| panic!("{line} is not as sha256sum writes it"));
        assert!(sum.len() == 64 && Path::new(file).extension().is_some_and(|extension| extension == "sql"), "{line}");
    }
}

#[test]
fn an_edited_and_a_missing_migration_are_both_seen() {
    let directory = tempfile::tempdir().unwrap();
    for (file, text) in [("0001_a.up.sql", "select 1;\n"), ("0002_b.up.sql", "select 2;\n"), ("0003_c.up.sql", "select 3;\n")] {
        fs::write(directory.path().join(file), text).unwrap();
    }
    let sum = |text: &str| checksum(text.as_bytes());
    let list = format!("{}  0001_a.up.sql\n{}  0002_b.up.sql\n", sum("select 1;\n"), sum("select 2;\n"));
    assert!(broken(directory.path(), &list).is_empty(), "the third one is not released yet");
    fs::write(directory.path().join("0001_a.up.sql"), "select 1; \n").unwrap();
    fs::remove_file(directory.path().join("0002_b.up.sql")).unwrap();
    assert_eq!(broken(directory.path(), &list), ["0001_a.up.sql", "0002_b.up.sql"]);
}
