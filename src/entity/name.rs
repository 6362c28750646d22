//! Names that people give, and the short ones that go into addresses.
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Length of a name, as reports name things too.
pub(super) const NAME_CHARACTERS_MAX: usize = 200;
/// Length of a reason.
pub(super) const REASON_CHARACTERS_MAX: usize = 4_000;
/// Length of a slug.
pub(super) const SLUG_BYTES_MAX: usize = 63;

/// A name: 1 to 200 characters, no control characters, no blanks around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(try_from = "String")]
#[sqlx(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 200, pattern = r"^[\t-\r ]*[^ \u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^ \u0000-\u001f\u007f-\u009f])?[\t-\r ]*$")]
pub struct Name(String);

/// A provider's name: in lower case (of ASCII, as the engine compares them), at most 200 characters; empty when there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(try_from = "String")]
#[sqlx(transparent)]
#[schema(value_type = String, max_length = 200, pattern = r"^[\t-\r ]*([^ \u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^ \u0000-\u001f\u007f-\u009f])?)?[\t-\r ]*$", example = "anthropic")]
pub struct Provider(String);

/// Why something failed, in some lines: 1 to 4,000 characters without NUL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(try_from = "String")]
#[sqlx(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 4000, pattern = r"^[^\u0000]*[^\s\u0000][^\u0000]*$", example = "the model refused")]
pub struct Reason(String);

/// A name for addresses: a-z, 0-9 and `-`, at most 63, beginning and ending with a letter or a digit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, ToSchema)]
#[serde(try_from = "String")]
#[sqlx(transparent)]
#[schema(value_type = String, min_length = 1, max_length = 63, pattern = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$", example = "acme")]
pub struct Slug(String);

/// What is wrong with a name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No characters, but blanks.
    #[error("it must not be empty")]
    Empty,
    /// Too many characters.
    #[error("it has over {0} characters")]
    TooLong(usize),
    /// A character that does not show.
    #[error("it has control characters")]
    Control,
    /// Not a slug.
    #[error("it is not 1 to {SLUG_BYTES_MAX} of a-z, 0-9 and `-`, beginning and ending with a letter or a digit")]
    Slug,
}

fn check(text: &str) -> Result<&str, Error> {
    let text = text.trim();
    if text.chars().any(char::is_control) {
        return Err(Error::Control);
    }
    if text.chars().count() > NAME_CHARACTERS_MAX { Err(Error::TooLong(NAME_CHARACTERS_MAX)) } else { Ok(text) }
}

impl TryFrom<String> for Name {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        match check(&text)? {
            "" => Err(Error::Empty),
            name => Ok(Self(name.to_owned())),
        }
    }
}

impl Name {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Provider {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Ok(Self(check(&text)?.to_ascii_lowercase()))
    }
}

impl TryFrom<String> for Reason {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        match text.trim() {
            "" => Err(Error::Empty),
            reason if reason.contains('\0') => Err(Error::Control),
            reason if reason.chars().count() > REASON_CHARACTERS_MAX => Err(Error::TooLong(REASON_CHARACTERS_MAX)),
            reason => Ok(Self(reason.to_owned())),
        }
    }
}

impl TryFrom<String> for Slug {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let edge = |byte: Option<u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let fine =
            text.len() <= SLUG_BYTES_MAX && edge(text.bytes().next()) && edge(text.bytes().last()) && text.bytes().all(inner);
        if fine { Ok(Self(text)) } else { Err(Error::Slug) }
    }
}

impl Slug {
    /// What `name` suggests: its letters and digits in lower case, all else as single `-`; `fallback` when it has none.
    pub fn of(name: &Name, fallback: uuid::Uuid) -> Self {
        let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let dashed: String = name.0.chars().map(plain).collect();
        let words: Vec<&str> = dashed.split('-').filter(|word| !word.is_empty()).collect();
        let mut slug = words.join("-");
        slug.truncate(SLUG_BYTES_MAX);
        let slug = slug.trim_end_matches('-');
        Self(if slug.is_empty() { fallback.to_string() } else { slug.to_owned() })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn names_are_trimmed_and_bounded() {
        assert_eq!(Name::try_from(" A b ".to_owned()).unwrap().as_str(), "A b");
        assert_eq!(Name::try_from("  ".to_owned()), Err(Error::Empty));
        assert_eq!(Name::try_from("a\0".to_owned()), Err(Error::Control));
        assert!(Name::try_from("é".repeat(200)).is_ok());
        assert_eq!(Name::try_from("é".repeat(201)), Err(Error::TooLong(200)));
        assert_eq!(Reason::try_from(" a\nb ".to_owned()).unwrap().0, "a\nb");
        assert_eq!(Reason::try_from("a\0".to_owned()), Err(Error::Control));
        assert_eq!(Reason::try_from("a".repeat(4_001)), Err(Error::TooLong(4_000)));
        assert_eq!(Provider::try_from("OpenAI ".to_owned()).unwrap().0, "openai");
    }

    #[test]
    fn slugs_come_from_names() {
        let slug = |name: &str| Slug::of(&Name::try_from(name.to_owned()).unwrap(), Uuid::nil()).0;
        assert_eq!(slug("Acme  Inc. (EU)"), "acme-inc-eu");
        assert_eq!(slug("日本"), Uuid::nil().to_string());
        for name in ["Acme", &"x y".repeat(66), "a-", "日本"] {
            assert!(Slug::try_from(slug(name)).is_ok(), "{name}");
        }
        assert!(["", "-a", "a-", "A", "a_b", &"a".repeat(64)].iter().all(|text| Slug::try_from((*text).to_owned()).is_err()));
    }
}
