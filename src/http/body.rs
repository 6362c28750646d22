//! JSON bodies: read within limits of size and time, and refused with the line, the column and the field.
use super::App;
use super::error::Problem;
use super::limits::{BODY_BYTES_MAX, BodyPlace, BodyRoom};
use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::time::timeout;

/// The body of a request, as a `T`, and its place among all bodies: to be kept until the request has been answered.
#[derive(Debug)]
pub struct Json<T>(pub T, pub BodyPlace);

impl<T: DeserializeOwned> FromRequest<App> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        check_headers(&parts.headers)?;
        let limit = app.limits.body_timeout;
        let Ok(read) = timeout(limit, read(body, &app.body_room)).await else {
            let detail = format!("the body did not arrive within {} seconds", limit.as_secs());
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "body_timeout", detail));
        };
        let (bytes, place) = read?;
        Ok(Self(parse(&bytes)?, place))
    }
}

fn check_headers(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let content_type = text(CONTENT_TYPE).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence != "application/json" && !(essence.starts_with("application/") && essence.ends_with("+json")) {
        let detail = format!("send JSON with `Content-Type: application/json`, not {content_type:?}");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    }
    if let Some(encoding) = text(CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        let detail = format!("send the body as it is, without `Content-Encoding: {encoding}`");
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail));
    }
    match text(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok()) {
        Some(length) if length > BODY_BYTES_MAX => Err(too_large()),
        _ => Ok(()),
    }
}

fn too_large() -> Problem {
    let detail = format!("a body has at most {BODY_BYTES_MAX} bytes; send less at a time");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail).with("bytes_max", BODY_BYTES_MAX)
}

async fn read(mut body: Body, room: &BodyRoom) -> Result<(Vec<u8>, BodyPlace), Problem> {
    let (mut bytes, mut place) = (Vec::new(), BodyPlace::default());
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad_request("broken_body", "the body broke off"))?;
        // Trailers say nothing that anybody here wants to know.
        let Ok(chunk) = frame.into_data() else { continue };
        if bytes.len() + chunk.len() > BODY_BYTES_MAX {
            return Err(too_large());
        }
        room.extend(&mut place, chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok((bytes, place))
}

/// Parses the whole of `bytes`, with the path of what is wrong.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        problem(error.inner(), (path != ".").then_some(&path))
    })?;
    deserializer.end().map_err(|error| problem(&error, None))?;
    Ok(value)
}

fn problem(error: &serde_json::Error, path: Option<&String>) -> Problem {
    let place = |problem: Problem| problem.with("line", error.line()).with("column", error.column());
    if error.classify() == Category::Data {
        let reason = path.map_or_else(|| error.to_string(), |path| format!("{path}: {error}"));
        let problem = place(Problem::bad_request("invalid_field", reason));
        return match path {
            Some(path) => problem.with("field", path),
            None => problem,
        };
    }
    place(Problem::bad_request("malformed_json", format!("the body is not JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Batch {
        #[serde(rename = "items")]
        _items: Vec<Item>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[serde(rename = "count")]
        _count: u32,
    }

    fn refused(text: &str) -> serde_json::Value {
        let document = parse::<Batch>(text.as_bytes()).unwrap_err().document(None);
        json!([document["code"], document["field"], document["line"], document["column"]])
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        assert_eq!(
            refused("{\"items\": [{\"count\": 1},\n{\"count\": \"x\"}]}"),
            json!(["invalid_field", "items[1].count", 2, 13])
        );
        assert_eq!(refused(r#"{"items": [{"count": -1}]}"#), json!(["invalid_field", "items[0].count", 1, 23]));
        assert_eq!(refused(r#"{"items": [{"cuont": 1}]}"#), json!(["invalid_field", "items[0].cuont", 1, 19]));
        assert_eq!(refused("{}"), json!(["invalid_field", null, 1, 2]));
        assert_eq!(refused("{\"items\": ["), json!(["malformed_json", null, 1, 11]));
        assert_eq!(refused(""), json!(["malformed_json", null, 1, 0]));
        assert_eq!(refused("{\"items\": []} x"), json!(["malformed_json", null, 1, 15]));
        assert_eq!(refused("{\"items\": [{\"count\": NaN}]}")[0], "malformed_json");
    }
}
