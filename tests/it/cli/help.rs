//! What `--help` says; a change of it is a change of the product, and is looked at.
use super::{tallybook, transcript};

/// What `--help` says of a command.
pub(crate) struct Page {
    /// Its words, such as `token create`; none for all of them together.
    pub(crate) command: String,
    pub(crate) text: String,
}

impl Page {
    /// The text, without the options that all commands share: those are shown once.
    pub(crate) fn own(&self) -> String {
        match self.text.split_once("\nConfiguration:") {
            Some((own, rest)) if !self.command.is_empty() => {
                let after = rest.split_once("[default: text]\n").map_or("", |(_, after)| after);
                format!("{own}(shared options)\n{after}")
            }
            _ => self.text.clone(),
        }
    }

    /// Whether there is nothing to be run but its subcommands.
    pub(crate) fn is_of_subcommands(&self) -> bool {
        self.text.lines().any(|line| line.starts_with("Usage: ") && line.ends_with(" <COMMAND>"))
    }
}

/// The page of help of `command`, and those of its subcommands, however deep.
pub(crate) fn pages(command: &str) -> Vec<Page> {
    let text = transcript(&mut tallybook(&format!("{command} --help")));
    let listed = text.split_once("\nCommands:\n").map_or("", |(_, after)| after.split("\n\n").next().unwrap());
    let names = listed.lines().filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let below: Vec<_> = names.flat_map(|name| pages(format!("{command} {name}").trim())).collect();
    std::iter::once(Page { command: command.to_owned(), text }).chain(below).collect()
}

#[test]
fn every_page_of_help_reads_as_it_was_meant() {
    let pages = pages("");
    assert!(pages.len() > 18);
    for page in pages {
        let name = format!("help_{}", page.command.replace(' ', "_"));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, page.own());
        });
    }
}

#[test]
fn nothing_to_do_shows_the_help_and_fails() {
    let shown = transcript(&mut tallybook(""));
    assert!(shown.contains("Usage: tallybook [OPTIONS] <COMMAND>") && shown.ends_with("--- exit 2\n"), "{shown}");
}

#[test]
fn a_mistake_names_the_right_word() {
    // The line of usage repeats what is set; nothing is.
    let refusal = |arguments| transcript(tallybook(arguments).env_remove("TALLYBOOK_CONFIG"));
    insta::assert_snapshot!(refusal("verfy"), @"
    --- standard error
    error: unrecognized subcommand 'verfy'

      tip: a similar subcommand exists: 'verify'

    Usage: tallybook [OPTIONS] <COMMAND>

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(refusal("usage --days 0"), @"
    --- standard error
    error: invalid value '0' for '--days <N>': a whole number from 1 to 3660

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(refusal("usage --json --csv"), @"
    --- standard error
    error: the argument '--json' cannot be used with '--csv'

    Usage: tallybook usage --json

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(refusal("token create --name ci --scope read"), @"
    --- standard error
    error: the following required arguments were not provided:
      <--workspace <WORKSPACE>|--all-workspaces>

    Usage: tallybook token create --name <NAME> --scope <SCOPE> <--workspace <WORKSPACE>|--all-workspaces>

    For more information, try '--help'.
    --- exit 2
    ");
}

#[test]
fn the_shells_complete_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = transcript(&mut tallybook(&format!("completions {shell}")));
        assert!(script.ends_with("--- exit 0\n"), "{shell}");
        for word in ["serve", "verify", "backfill", "token", "data-dir"] {
            assert!(script.contains(word), "{shell} does not complete {word}");
        }
    }
}
