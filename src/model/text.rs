//! Names and keys: bounded text without control characters, so that it can be stored, indexed and shown.

/// Longest key of anything, in bytes: an index row holds it beside the other columns of its key.
const BYTES_MAX: usize = 200;
/// Longest name of an entity, in characters.
const NAME_CHARACTERS_MAX: usize = 200;

/// Why a text is no name. Reads on after the name of the field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nothing is left of it.
    #[error("must not be empty")]
    Empty,
    /// It has more than 200 bytes.
    #[error("must have at most {BYTES_MAX} bytes")]
    TooLong,
    /// It has more than 200 characters.
    #[error("must have at most {NAME_CHARACTERS_MAX} characters")]
    TooManyCharacters,
    /// It has a NUL, a line break or another control character.
    #[error("must not contain control characters")]
    ControlCharacter,
}

fn bounded(text: &str) -> Result<String, Error> {
    if text.len() > BYTES_MAX { Err(Error::TooLong) } else { shown(text) }
}

fn shown(text: &str) -> Result<String, Error> {
    if text.chars().any(char::is_control) {
        return Err(Error::ControlCharacter);
    }
    Ok(text.to_owned())
}

fn key(text: &str) -> Result<String, Error> {
    let text = text.trim();
    if text.is_empty() { Err(Error::Empty) } else { bounded(text) }
}

fn named(text: &str) -> Result<String, Error> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err(Error::Empty),
        count if count > NAME_CHARACTERS_MAX => Err(Error::TooManyCharacters),
        _ => shown(text),
    }
}

/// Declares a text type with its rule.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $parse:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Reads one, or says what is wrong with the text.
            pub fn parse(text: &str) -> Result<Self, Error> {
                $parse(text).map(Self)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::str::FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                Self::parse(text)
            }
        }
    };
}

text! {
    /// Who serves a model: 1 to 200 bytes, trimmed, in lower case.
    ///
    /// Only ASCII letters are lowered, exactly as the engine's `lower(... collate "C")` does: the
    /// same provider is the same key in every locale.
    Provider, |text: &str| key(text).map(|name| name.to_ascii_lowercase())
}
text! {
    /// A model, as its provider calls it: 1 to 200 bytes, trimmed.
    Model, key
}
text! {
    /// The name of a workspace, runtime, agent or project, or the title of an issue: 1 to 200 characters, trimmed.
    Name, named
}
text! {
    #[derive(Default)]
    /// The reporter's own id of a single event, up to 200 bytes as they are; empty for a task's running total.
    EventKey, bounded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_trimmed_and_providers_lowered() {
        assert_eq!(Provider::parse("  Claude ").unwrap().as_str(), "claude");
        assert_eq!(Provider::parse("ÄI").unwrap().as_str(), "Äi", "as the engine lowers it");
        assert_eq!(Model::parse(" GPT-4o ").unwrap().as_str(), "GPT-4o");
        assert_eq!(EventKey::parse(" a ").unwrap().as_str(), " a ", "a key is the caller's own");
        assert_eq!(EventKey::parse("").unwrap(), EventKey::default());
    }

    #[test]
    fn hostile_text_is_refused() {
        assert_eq!(Model::parse(" \t "), Err(Error::Empty));
        assert_eq!(Provider::parse(""), Err(Error::Empty));
        assert_eq!(Name::parse("a\0b"), Err(Error::ControlCharacter));
        assert_eq!(EventKey::parse("a\nb"), Err(Error::ControlCharacter));
        assert_eq!(Name::parse("a\u{85}b"), Err(Error::ControlCharacter));
        assert_eq!(Model::parse(&"m".repeat(201)), Err(Error::TooLong));
        assert_eq!(EventKey::parse(&"é".repeat(101)), Err(Error::TooLong), "bytes, not characters");
        assert!(Model::parse(&"m".repeat(200)).is_ok());
        assert!(Name::parse(&"é".repeat(200)).is_ok());
        assert_eq!(Name::parse(&"é".repeat(201)), Err(Error::TooManyCharacters));
    }
}
