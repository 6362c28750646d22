//! Labels: what else an operator wants to group and find things by.
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo, PgValueRef};
use sqlx::types::Json;
use sqlx::{Decode, Encode, Postgres, Type};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::openapi::schema::{ObjectBuilder, Type as SchemaType};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Labels of one thing.
pub const LABELS_MAX: usize = 64;
/// Length of a label's name.
pub const KEY_BYTES_MAX: usize = 63;
/// Length of a label's value.
pub const VALUE_CHARACTERS_MAX: usize = 255;

/// A flat JSON object of strings, such as `{"team": "search", "cost_center": "4711"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Labels(BTreeMap<String, String>);

/// What is wrong with a label.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// More than [`LABELS_MAX`].
    #[error("at most {LABELS_MAX} labels")]
    TooMany,
    /// A name that is empty, too long, or has other characters than it may.
    #[error(
        "the label name {0:?} is not 1 to {KEY_BYTES_MAX} of a-z, A-Z, 0-9, `_`, `-`, `.`, `/`, beginning with a letter or a digit"
    )]
    Key(String),
    /// A value that is too long or has control characters.
    #[error("the value of label {0:?} has over {VALUE_CHARACTERS_MAX} characters or control characters")]
    Value(String),
    /// The same name twice.
    #[error("the label {0:?} is given twice")]
    Twice(String),
}

impl Labels {
    /// Adds one label.
    pub fn insert(&mut self, key: String, value: String) -> Result<(), Error> {
        if !is_key(&key) {
            return Err(Error::Key(key));
        }
        if value.chars().count() > VALUE_CHARACTERS_MAX || value.chars().any(char::is_control) {
            return Err(Error::Value(key));
        }
        if self.0.contains_key(&key) {
            return Err(Error::Twice(key));
        }
        if self.0.len() == LABELS_MAX {
            return Err(Error::TooMany);
        }
        self.0.insert(key, value);
        Ok(())
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn is_key(key: &str) -> bool {
    key.len() <= KEY_BYTES_MAX
        && key.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
}

impl PartialSchema for Labels {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(SchemaType::String);
        let name = text().max_length(Some(KEY_BYTES_MAX)).pattern(Some("^[A-Za-z0-9][A-Za-z0-9_./-]*$"));
        let value = text().max_length(Some(VALUE_CHARACTERS_MAX)).pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]*$"));
        let description = "A flat JSON object of strings, such as `{\"team\": \"search\", \"cost_center\": \"4711\"}`.";
        ObjectBuilder::new()
            .description(Some(description))
            .max_properties(Some(LABELS_MAX))
            .property_names(Some(name))
            .additional_properties(Some(value))
            .examples([serde_json::json!({"team": "search", "cost_center": "4711"})])
            .into()
    }
}

impl ToSchema for Labels {}

impl<'de> Deserialize<'de> for Labels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LabelsVisitor)
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels, A::Error> {
        let mut labels = Labels::default();
        while let Some((key, value)) = map.next_entry::<String, String>()? {
            labels.insert(key, value).map_err(de::Error::custom)?;
        }
        Ok(labels)
    }
}

impl Type<Postgres> for Labels {
    fn type_info() -> PgTypeInfo {
        Json::<Self>::type_info()
    }
}

impl Encode<'_, Postgres> for Labels {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        Json(&self.0).encode_by_ref(buffer)
    }
}

/// What others wrote into the column is shown, too: a value that is no string as its JSON text.
impl<'r> Decode<'r, Postgres> for Labels {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        let Json(stored) = Json::<Map<String, Value>>::decode(value)?;
        let text = |value| if let Value::String(text) = value { text } else { value.to_string() };
        Ok(Self(stored.into_iter().map(|(key, value)| (key, text(value))).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Labels, String> {
        serde_json::from_str(text).map_err(|e| e.to_string())
    }

    #[test]
    fn a_flat_object_of_strings_is_kept() {
        let labels = parse(r#"{"team": "search", "k8s.io/app": ""}"#).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("k8s.io/app", ""), ("team", "search")]);
        assert_eq!(serde_json::to_string(&labels).unwrap(), r#"{"k8s.io/app":"","team":"search"}"#);
    }

    #[test]
    fn anything_else_is_refused_with_its_reason() {
        for (text, reason) in [
            ("[]", "an object of strings"),
            (r#"{"a": 1}"#, "expected a string"),
            (r#"{"a": {"b": "c"}}"#, "expected a string"),
            (r#"{"a": "1", "a": "2"}"#, "given twice"),
            (r#"{"": "x"}"#, "label name \"\""),
            (r#"{"a b": "x"}"#, "label name \"a b\""),
            ("{\"a\": \"\\u0000\"}", "control characters"),
            (&format!("{{\"a\": \"{}\"}}", "x".repeat(256)), "over 255 characters"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
        let many: BTreeMap<String, String> = (0..=LABELS_MAX).map(|i| (format!("k{i}"), String::new())).collect();
        assert!(parse(&serde_json::to_string(&many).unwrap()).unwrap_err().contains("at most 64"));
    }
}
