//! `tallybook config`: what is configured, and where it was said.
use super::Outcome;
use super::output::{Output, table};
use super::parse::Given;
use crate::config::Config;
use serde_json::json;

const AFTER_HELP: &str = "\
Each setting can be given as an option, as an environment variable, and in a file; it counts in this order, and a default where nobody gives one. An empty variable counts as none. The file is TOML; an unknown name or a value that will not do is refused with its line.

It takes every setting as an option, too, to try what would come of it. Secrets are never shown.

Examples:
  tallybook config
  tallybook config --listen 0.0.0.0:8443 --toml
  tallybook config --example > /etc/tallybook/tallybook.toml";

/// Show what is configured, and where each value comes from.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Answer with a JSON object: the `file` that was read, and the `settings`.
    #[arg(long, group = "form")]
    json: bool,
    /// Answer with a file that says the same.
    #[arg(long, group = "form")]
    toml: bool,
    /// Answer with a file that sets nothing and explains every setting.
    #[arg(long, group = "form")]
    example: bool,
}

/// Prints the settings. Needs no database.
pub(super) fn run(arguments: &Arguments, config: &Config, given: &Given, out: &mut Output) -> anyhow::Result<Outcome> {
    let (file, effective) = (given.file.as_ref(), given.effective());
    if arguments.example {
        out.attempt(|writer| write!(writer, "{}", given.settings.example()))?;
    } else if arguments.json {
        out.json(&json!({
            "file": file.map(|file| &file.path),
            "settings": effective.iter().map(|setting| setting.json(file)).collect::<Vec<_>>(),
        }))?;
    } else if arguments.toml {
        for setting in &effective {
            out.line(setting.toml(file))?;
        }
    } else {
        out.line(table(["setting", "value", "from"], effective.iter().map(|setting| setting.row(file)), 3))?;
        let file = file.map_or_else(|| "none".to_owned(), |file| file.path.display().to_string());
        out.line(format_args!("\nFile: {file}. Data: {}.", config.database))?;
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::cli::parse::definition;
    use crate::config::{File, Kind};
    use clap::ArgAction;
    use std::path::Path;

    const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/CONFIGURATION.md");
    const BEGIN: &str = "<!-- settings: written by the tests -->\n";
    const END: &str = "<!-- end of settings -->";

    #[test]
    fn the_documented_table_is_the_definition() {
        let (_, settings) = definition();
        let text = std::fs::read_to_string(DOCUMENT).unwrap();
        let (before, rest) = text.split_once(BEGIN).unwrap();
        let (_, after) = rest.split_once(END).unwrap();
        let fresh = format!("{before}{BEGIN}{}{END}{after}", settings.markdown());
        if std::env::var_os("TALLYBOOK_UPDATE").is_some() {
            std::fs::write(DOCUMENT, &fresh).unwrap();
        }
        let text = std::fs::read_to_string(DOCUMENT).unwrap();
        assert!(text == fresh, "docs/CONFIGURATION.md is stale: run the tests with TALLYBOOK_UPDATE=1 and commit it");
    }

    #[test]
    fn the_example_names_every_setting_and_is_a_file_that_can_be_read() {
        let (_, settings) = definition();
        let example = settings.example();
        assert!(File::parse(Path::new("x"), &example, &settings).is_ok());
        for setting in settings.iter() {
            let line = example.lines().find(|line| line.starts_with(&format!("#{} = ", setting.key)));
            let line = line.unwrap_or_else(|| panic!("{} is missing", setting.key));
            assert!(example.contains(&setting.variable), "{}", setting.variable);
            // What has a default is written so that it can be taken in as it is.
            if setting.default.is_some() {
                File::parse(Path::new("x"), &line[1..], &settings).unwrap();
            }
        }
    }

    #[test]
    fn every_option_of_serve_is_a_setting_of_one_value() {
        let (command, settings) = definition();
        let serve = command.find_subcommand("serve").unwrap();
        for argument in command.get_arguments().chain(serve.get_arguments()) {
            let Some(long) = argument.get_long().filter(|long| !["config", "help", "version"].contains(long)) else { continue };
            let setting = settings.get(long).unwrap_or_else(|| panic!("--{long} has no environment variable"));
            assert!(argument.get_num_args().is_none_or(|count| count.max_values() == 1), "--{long} takes several values");
            if setting.kind == Kind::Switch {
                assert!(matches!(argument.get_action(), ArgAction::Set), "--{long}=false cannot be said");
            }
        }
    }
}
