//! Settings written down: as they are in effect, as an example of a file, and as a table for people.
use super::{File, Setting, Settings, Source};
use clap::ArgMatches;
use serde_json::{Value, json};

/// Shown in the place of a secret.
const REDACTED: &str = "(secret)";
/// Width of comments in the example.
const COMMENT_WIDTH: usize = 110;
/// How the example begins.
const EXAMPLE_HEAD: &str = "Configuration of Tallybook. Everything is commented out: take the # off what you want to set. An option \
    comes before its environment variable, and that before this file. `tallybook config` tells what holds, and where it was said.";

/// A setting, what holds for it, and where that comes from.
#[derive(Clone, Debug)]
pub struct Effective<'a> {
    /// The setting.
    pub setting: &'a Setting,
    /// Its value; nothing of a secret.
    value: Option<String>,
    /// Where it comes from.
    pub source: Source,
}

/// What holds for each setting that `matches` know, in their order.
pub fn effective<'a>(settings: &'a Settings, matches: &ArgMatches, file: Option<&File>) -> Vec<Effective<'a>> {
    let found = settings.iter().filter_map(|setting| Some((setting, setting.effective(matches, file)?)));
    found
        .map(|(setting, (value, source))| {
            let value = value.map(|value| if setting.is_secret { REDACTED.to_owned() } else { value });
            Effective { setting, value, source }
        })
        .collect()
}

impl Effective<'_> {
    /// A row for people: the key, the value, and where it comes from.
    pub fn row(&self, file: Option<&File>) -> [String; 3] {
        [self.setting.key.clone(), self.value.clone().unwrap_or_default(), self.origin(file)]
    }

    /// The same for programs. A secret has no value.
    pub fn json(&self, file: Option<&File>) -> Value {
        let source = match self.source {
            Source::Option => "option",
            Source::Environment => "environment",
            Source::File { .. } => "file",
            Source::Default => "default",
            Source::Unset => "unset",
        };
        let mut document = json!({
            "key": self.setting.key,
            "variable": self.setting.variable,
            "value": self.value.as_ref().filter(|_| !self.setting.is_secret),
            "secret": self.setting.is_secret,
            "source": source,
        });
        if let (Source::File { line }, Some(file)) = (self.source, file) {
            document["file"] = json!(file.path);
            document["line"] = json!(line);
        }
        document
    }

    /// A line of a file that says the same; what has no value, or a secret one, is commented out.
    pub fn toml(&self, file: Option<&File>) -> String {
        let Setting { key, kind, placeholder, is_secret, .. } = self.setting;
        let origin = self.origin(file);
        match &self.value {
            Some(value) if !is_secret => format!("{key} = {}  # {origin}", kind.in_file(value)),
            Some(value) => format!("#{key} = {}  # {origin}", kind.in_file(value)),
            None => format!("#{key} = {}  # {origin}", kind.in_file(placeholder)),
        }
    }

    fn origin(&self, file: Option<&File>) -> String {
        match (self.source, file) {
            (Source::Option, _) => format!("option --{}", self.setting.key),
            (Source::Environment, _) => format!("environment {}", self.setting.variable),
            (Source::File { line }, Some(file)) => format!("{}, line {line}", file.path.display()),
            (Source::File { .. }, None) => "file".to_owned(),
            (Source::Default, _) => "default".to_owned(),
            (Source::Unset, _) => "not set".to_owned(),
        }
    }
}

impl Settings {
    /// A file that sets nothing, and explains everything that it could set.
    pub fn example(&self) -> String {
        let mut lines = wrapped(EXAMPLE_HEAD);
        for setting in self.iter() {
            let value = setting.kind.in_file(setting.default.as_deref().unwrap_or(&setting.placeholder));
            lines.push(String::new());
            lines.extend(setting.help.lines().filter(|line| !line.is_empty()).flat_map(wrapped));
            lines.push(format!("# Environment: {}. {}", setting.variable, setting.takers()));
            lines.push(format!("#{} = {value}", setting.key));
        }
        lines.join("\n") + "\n"
    }

    /// A table in Markdown, with a row for each setting.
    pub fn markdown(&self) -> String {
        let rows = self.iter().map(|setting| {
            let Setting { key, variable, kind, default, commands, summary, .. } = setting;
            let default = default.as_ref().map(|value| format!("`{value}`")).unwrap_or_default();
            let takers = if commands.is_empty() { "all".to_owned() } else { commands.join(", ") };
            let summary = summary.trim_end_matches('.').replace('|', r"\|");
            format!("| `{key}` | `{variable}` | {} | {default} | {takers} | {summary} |\n", kind.name())
        });
        let head =
            "| setting | environment | in the file | default | for | what it does |\n|---|---|---|---|---|---|\n".to_owned();
        [head].into_iter().chain(rows).collect()
    }
}

impl Setting {
    fn takers(&self) -> String {
        if self.commands.is_empty() { "For all commands.".to_owned() } else { format!("For {}.", self.commands.join(" and ")) }
    }
}

/// A paragraph as lines of comment.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec!["#".to_owned()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < COMMENT_WIDTH => line.extend([" ", word]),
            _ => lines.push(format!("# {word}")),
        }
    }
    lines
}
