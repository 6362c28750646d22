//! What commands said, gathered below the names of the commands.
use super::redact::Redactions;
use crate::cli::help::Page;
use crate::cli::transcript;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::Command;

/// More lines than any command prints.
pub(super) const ALL: usize = usize::MAX;

pub(super) struct Transcripts {
    pub(super) redactions: Redactions,
    /// By command, in Markdown.
    told: BTreeMap<String, String>,
}

impl Transcripts {
    pub(super) fn new(pages: &[Page], redactions: Redactions) -> Self {
        Self { redactions, told: pages.iter().map(|page| (page.command.clone(), String::new())).collect() }
    }

    /// What is shown of `command`.
    pub(super) fn of(&self, command: &str) -> &str {
        &self.told[command]
    }

    /// Runs `command`, and shows it and what it said below `words`.
    pub(super) fn run(&mut self, words: &str, command: &mut Command) {
        self.run_first(ALL, words, command);
    }

    /// The same, with no more than the first `lines` of what it said.
    pub(super) fn run_first(&mut self, lines: usize, words: &str, command: &mut Command) {
        let arguments: Vec<_> = command.get_args().map(|argument| argument.to_str().unwrap().to_owned()).collect();
        let told = transcript(command).replace("--- standard error\n", "");
        self.show(lines, words, &arguments.join(" "), &told);
    }

    /// Shows what a command said to somebody else: a transcript, which ends with the exit code.
    pub(super) fn show(&mut self, lines: usize, words: &str, arguments: &str, told: &str) {
        let (told, code) = told.trim_end().rsplit_once("--- exit ").unwrap();
        let told = self.redactions.text(told);
        let mut text = format!(
            "\n{}\n\n```console\n$ tallybook {}\n",
            self.redactions.text(words).trim_end(),
            self.redactions.text(arguments).trim_end()
        );
        for line in told.lines().take(lines) {
            writeln!(text, "{line}").unwrap();
        }
        if told.lines().nth(lines).is_some() {
            text.push_str("...\n");
        }
        if code != "0" {
            writeln!(text, "(exit {code})").unwrap();
        }
        text.push_str("```\n");
        self.below(arguments).push_str(&text);
    }

    /// Where that which begins with a command's name belongs.
    fn below(&mut self, arguments: &str) -> &mut String {
        let begins = |command: &str| arguments.strip_prefix(command).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        let named = self.told.keys().filter(|command| begins(command)).max_by_key(|command| command.len()).cloned();
        self.told.get_mut(&named.unwrap_or_else(|| panic!("there is no command `{arguments}`"))).unwrap()
    }
}
