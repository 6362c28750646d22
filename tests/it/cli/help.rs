//! What `--help` says; a change of it is a change of the product, and is looked at.
use super::{tallybook, transcript};

/// The commands, each with a page of its own.
const COMMANDS: [&str; 19] = [
    "",
    "serve",
    "demo",
    "usage",
    "status",
    "verify",
    "repair",
    "fold",
    "backfill",
    "migrate",
    "migrate up",
    "migrate down",
    "migrate status",
    "token",
    "token create",
    "token list",
    "token revoke",
    "token admin",
    "completions",
];

#[test]
fn every_page_of_help_reads_as_it_was_meant() {
    for command in COMMANDS {
        let page = transcript(&mut tallybook(&format!("{command} --help")));
        // The options that all commands share are shown once.
        let own = match page.split_once("\nWhere the data is:") {
            Some((own, rest)) if !command.is_empty() => {
                let after = rest.split_once("[default: text]\n").map_or("", |(_, after)| after);
                format!("{own}(shared options)\n{after}")
            }
            _ => page,
        };
        let name = format!("help_{}", command.replace(' ', "_"));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, own);
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
    insta::assert_snapshot!(transcript(&mut tallybook("verfy")), @"
    --- standard error
    error: unrecognized subcommand 'verfy'

      tip: a similar subcommand exists: 'verify'

    Usage: tallybook [OPTIONS] <COMMAND>

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(transcript(&mut tallybook("usage --days 0")), @"
    --- standard error
    error: invalid value '0' for '--days <N>': a whole number from 1 to 3660

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(transcript(&mut tallybook("usage --json --csv")), @"
    --- standard error
    error: the argument '--json' cannot be used with '--csv'

    Usage: tallybook usage --json

    For more information, try '--help'.
    --- exit 2
    ");
    insta::assert_snapshot!(transcript(&mut tallybook("token create --name ci --scope read")), @"
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
