//! Query parameters: each named once, each understood, none unknown.
//!
//! A misspelt `day=7` must not silently mean "the default": whatever is not taken is refused by name.
use super::error::Problem;
use axum::extract::{FromRequestParts, Query as Pairs};
use axum::http::request::Parts;
use std::fmt::Display;
use std::str::FromStr;

/// The parameters of a request that nobody has taken yet.
#[derive(Debug)]
pub struct Parameters {
    left: Vec<(String, String)>,
    known: Vec<&'static str>,
}

impl Parameters {
    /// The text of `name`, if it was given.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.known.push(name);
        let (mut taken, left) = std::mem::take(&mut self.left).into_iter().partition::<Vec<_>, _>(|(key, _)| key == name);
        self.left = left;
        if taken.len() > 1 {
            return Err(Problem::field(name, "given more than once"));
        }
        Ok(taken.pop().map(|(_, value)| value))
    }

    /// The value of `name`, if it was given; `expected` reads "a whole number from 1 to 9".
    pub fn parsed<T: FromStr>(&mut self, name: &'static str, expected: impl Display) -> Result<Option<T>, Problem> {
        let text = self.text(name)?;
        text.map(|text| text.parse().map_err(|_| Problem::field(name, format_args!("{expected}, not {text:?}")))).transpose()
    }

    fn finish(self) -> Result<(), Problem> {
        let Some((name, _)) = self.left.first() else { return Ok(()) };
        let known = if self.known.is_empty() { "none".to_owned() } else { self.known.join(", ") };
        let detail = format!("there is no parameter {name:?} here; known: {known}");
        Err(Problem::bad_request("unknown_parameter", detail).with("field", name))
    }
}

/// What can be read from query parameters.
pub trait FromParameters: Sized {
    /// Takes what it knows.
    fn take(parameters: &mut Parameters) -> Result<Self, Problem>;
}

/// No parameters at all.
impl FromParameters for () {
    fn take(_: &mut Parameters) -> Result<Self, Problem> {
        Ok(())
    }
}

/// The query parameters of a request, as a `T`.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<T: FromParameters, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Pairs(left) = Pairs::<Vec<(String, String)>>::try_from_uri(&parts.uri)
            .map_err(|_| Problem::bad_request("malformed_query", "the query string cannot be read: name=value, joined by &"))?;
        let mut parameters = Parameters { left, known: Vec::new() };
        let value = T::take(&mut parameters)?;
        parameters.finish()?;
        Ok(Self(value))
    }
}
