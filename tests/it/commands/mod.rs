//! docs/COMMANDS.md: what each command says of itself, and what it says when it is run. Both are asked of the real binary whenever the
//! tests run, so the page can be neither wrong nor incomplete.
pub(crate) mod redact;
mod story;
mod transcripts;

use crate::cli::help::{self, Page};
use std::fmt::Write;
use transcripts::Transcripts;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/COMMANDS.md");

const INTRODUCTION: &str = "\
# Commands

Every command of `tallybook`, with what its `--help` says and what it says when it is run. The options that all commands share are shown once, with
the first. Where a command exits with anything but 0, the code stands below what it said; `...` is where lines are left out.

The tests write this page, so it is never stale: they run the commands on a small database of their own, and compare.
(`TALLYBOOK_UPDATE=1 scripts/test-cluster cargo test --locked --test it -- commands::` writes it anew.) Times, ages, sizes, addresses, ids and tokens
are replaced by others of their kind, and what `doctor` says of the tests' server is left out.

";

#[tokio::test]
async fn the_page_of_commands_is_what_they_say_when_they_are_run() {
    let pages = help::pages("");
    let shown = story::tell(&pages).await;
    let page = page(&pages, &shown);
    if std::env::var_os("TALLYBOOK_UPDATE").is_some() {
        std::fs::write(FILE, &page).unwrap();
    }
    let committed = std::fs::read_to_string(FILE).unwrap_or_default();
    for (line, (committed, told)) in committed.lines().zip(page.lines()).enumerate() {
        assert_eq!(committed, told, "line {} of docs/COMMANDS.md is stale: TALLYBOOK_UPDATE=1 writes it anew", line + 1);
    }
    assert_eq!(committed.lines().count(), page.lines().count(), "docs/COMMANDS.md is stale: TALLYBOOK_UPDATE=1 writes it anew");
}

/// A heading for each command, below it its help and what it said.
fn page(pages: &[Page], shown: &Transcripts) -> String {
    let mut text = INTRODUCTION.to_owned();
    for Page { command, text: help } in pages.iter().skip(1) {
        let indent = "  ".repeat(command.matches(' ').count());
        let what = help.lines().next().unwrap();
        writeln!(text, "{indent}- [`{command}`](#tallybook-{}): {what}", command.replace(' ', "-")).unwrap();
    }
    for page in pages {
        let level = "#".repeat(2 + page.command.matches(' ').count());
        let name = format!("tallybook {}", page.command);
        writeln!(text, "\n{level} `{}`\n\n```text", name.trim_end()).unwrap();
        let own = page.own().replace("(shared options)\n", "");
        for line in own.strip_suffix("--- exit 0\n").unwrap().lines() {
            writeln!(text, "{}", line.trim_end()).unwrap();
        }
        text.push_str("```\n");
        let told = shown.of(&page.command);
        assert!(
            page.is_of_subcommands() || !told.is_empty(),
            "nothing is shown of `{name}`: run it in tests/it/commands/story.rs"
        );
        text.push_str(told);
    }
    text
}
