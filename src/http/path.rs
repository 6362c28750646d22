//! Ids in paths.
use super::error::Problem;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use uuid::Uuid;

/// The `{id}` of a path.
#[derive(Clone, Copy, Debug)]
pub struct Id(pub Uuid);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let malformed = |text: &str| Problem::field("id", format_args!("{text:?} is not a UUID"));
        let parameters = RawPathParams::from_request_parts(parts, state).await.map_err(|_| malformed("(not UTF-8)"))?;
        let text = parameters.iter().find(|(name, _)| *name == "id").map_or("", |(_, text)| text);
        text.parse().map(Id).map_err(|_| malformed(text))
    }
}
