//! Any method on any path, with any query, headers and body.
use super::{Answer, Bench, for_all};
use crate::http::testing::{id, world};
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, Uri};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// A request, before it is made.
#[derive(Clone, Debug)]
struct Shape {
    method: &'static str,
    target: String,
    token: Token,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Token {
    Admin,
    None,
    Other(Vec<u8>),
}

/// Names of headers that something of ours or below us reads.
const HEADERS: [&str; 12] = [
    "accept",
    "accept-encoding",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "if-none-match",
    "range",
    "transfer-encoding",
    "x-forwarded-for",
    "x-request-id",
];

fn shape() -> impl Strategy<Value = Shape> {
    let method = prop::sample::select(vec!["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"]);
    let token = prop_oneof![
        8 => Just(Token::Admin),
        1 => Just(Token::None),
        1 => prop::collection::vec(header_byte(), 0..60).prop_map(Token::Other),
    ];
    let plain = Just(vec![("content-type", b"application/json".to_vec())]);
    let headers =
        prop_oneof![2 => plain, 1 => prop::collection::vec((prop::sample::select(HEADERS.to_vec()), header_value()), 0..5)];
    (method, target(), token, headers, body()).prop_map(|(method, target, token, headers, body)| Shape {
        method,
        target,
        token,
        headers,
        body,
    })
}

/// What may stand in a header: no control characters but the tab.
fn header_byte() -> impl Strategy<Value = u8> {
    prop_oneof![4 => 0x20_u8..0x7f, 1 => 0x80_u8..=0xff, 1 => Just(b'\t')]
}

fn header_value() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "application/json",
        "application/json; charset=utf-7",
        "gzip",
        "gzip, deflate, br, zstd",
        "chunked",
        "100-continue",
        "0",
        "-1",
        "99999999999999999999",
        "identity",
        "bytes=0-",
    ];
    prop_oneof![
        prop::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec(header_byte(), 0..100),
    ]
}

fn target() -> impl Strategy<Value = String> {
    let kinds = ["workspaces", "runtimes", "agents", "projects", "issues", "tasks", "usage", "audit", "nothing", ""];
    let ends = ["", "/usage", "/usage/by-agent", "/usage/by-hour", "/reassign-tasks", "/", "/../..", "/usage/"];
    let api = (prop::sample::select(kinds.to_vec()), segment(), prop::sample::select(ends.to_vec()), query())
        .prop_map(|(kind, id, end, query)| format!("/v1/{kind}{id}{end}{query}"));
    let other =
        ["/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs/", "/docs/..%2f..%2fetc/passwd", "/docs/swagger-ui.css"];
    prop_oneof![
        10 => api,
        1 => (prop::sample::select(other.to_vec()), query()).prop_map(|(path, query)| format!("{path}{query}")),
        1 => (escaped(), query()).prop_map(|(path, query)| format!("/{path}{query}")),
    ]
}

/// Nothing, an id that exists, or what is none.
fn segment() -> impl Strategy<Value = String> {
    let existing = world().into_iter().map(|(path, _)| format!("/{}", path.rsplit_once('/').unwrap().1)).collect::<Vec<_>>();
    prop_oneof![
        2 => Just(String::new()),
        4 => prop::sample::select(existing),
        1 => any::<u128>().prop_map(|id| format!("/{}", uuid::Uuid::from_u128(id))),
        2 => escaped().prop_map(|text| format!("/{text}")),
    ]
}

/// Any bytes, as a URL writes them.
fn escaped() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<u8>(), 0..50).prop_map(|bytes| percent(&bytes))
}

/// Bytes, as a URL writes them.
pub(super) fn percent(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    bytes.iter().map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn query() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "days",
        "tz",
        "limit",
        "after",
        "include_archived",
        "workspace_id",
        "purge",
        "action",
        "since",
        "",
        "day",
    ]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "1",
            "3660",
            "0",
            "-1",
            "999999999999999999999",
            "true",
            "false",
            "UTC",
            "Asia/Kolkata",
            "-009000-01-01T00:00:00Z",
            "token.create",
            "%00",
            "%ff",
            "+"
        ])
        .prop_map(str::to_owned),
        Just(id("workspace").to_string()),
        escaped(),
    ];
    let pairs = prop::collection::vec((name, value), 1..4)
        .prop_map(|pairs| pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&"));
    prop_oneof![3 => Just(String::new()), 2 => pairs.prop_map(|pairs| format!("?{pairs}")), 1 => "[!-~&&[^#]]{0,40}".prop_map(|text| format!("?{text}"))]
}

/// JSON of every kind, what the endpoints want with parts of it exchanged, and bytes that are no JSON.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<Value> = world().into_iter().map(|(_, body)| body).chain([report(), json!({"to": id("runtime")})]).collect();
    let exchanged = (prop::sample::select(known), any::<prop::sample::Index>(), document()).prop_map(|(mut body, index, new)| {
        exchange(&mut body, index, new);
        body.to_string().into_bytes()
    });
    prop_oneof![
        6 => exchanged,
        2 => document().prop_map(|json| json.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => hard().prop_map(String::into_bytes),
    ]
}

fn report() -> Value {
    json!({"reports": [{
        "task_id": id("task"), "provider": "anthropic", "model": "opus", "event_key": "k", "input_tokens": 1, "output_tokens": 2,
        "cache_read_tokens": 3, "cache_write_tokens": 4, "cost_usd": "0.1", "occurred_at": "2026-03-09T10:00:00Z", "sequence": 1,
        "task": {"workspace_id": id("workspace"), "agent": {"name": "ada"}, "runtime": {"name": "box"}, "issue": {"title": "t"}}
    }]})
}

/// Puts `new` in the place of one of the values in `body`.
fn exchange(body: &mut Value, index: prop::sample::Index, new: Value) {
    let count = places(body);
    let mut left = index.index(count);
    let mut new = Some(new);
    put_at(body, &mut left, &mut new);
}

fn places(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(places).sum(),
        Value::Object(members) => members.values().map(places).sum::<usize>(),
        _ => 0,
    }
}

fn put_at(value: &mut Value, left: &mut usize, new: &mut Option<Value>) {
    if *left == 0 {
        if let Some(new) = new.take() {
            *value = new;
        }
        return;
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| step(item, left, new)),
        Value::Object(members) => members.values_mut().for_each(|member| step(member, left, new)),
        _ => {}
    }
}

fn step(value: &mut Value, left: &mut usize, new: &mut Option<Value>) {
    if new.is_some() {
        let size = places(value);
        if *left < size { put_at(value, left, new) } else { *left -= size }
    }
}

fn document() -> impl Strategy<Value = Value> {
    let number = prop::sample::select(vec!["0", "-0", "1e400", "-1", "1.5", "1E-400", "123456789012345678901234567890", "0.1"])
        .prop_map(|text| serde_json::from_str(text).unwrap());
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        number,
        any::<String>().prop_map(Value::from),
        Just(json!(id("runtime"))),
    ];
    leaf.prop_recursive(4, 24, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..5).prop_map(|members| Map::from_iter(members).into()),
        ]
    })
}

/// Texts that parsers have fallen over.
fn hard() -> impl Strategy<Value = String> {
    prop_oneof![
        (1_usize..200_000).prop_map(|depth| "[".repeat(depth)),
        (1_usize..50_000).prop_map(|depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth))),
        (1_usize..50_000).prop_map(|depth| format!("{{\"reports\":[{}{}]}}", "[".repeat(depth), "]".repeat(depth))),
        (1_usize..200_000).prop_map(|digits| format!("{{\"reports\":[{{\"input_tokens\":{}}}]}}", "9".repeat(digits))),
        (1_usize..200_000).prop_map(|digits| format!("{{\"reports\":[{{\"cost_usd\":1e{}}}]}}", "9".repeat(digits))),
        Just("{\"name\":\"\\ud800\"}".to_owned()),
        Just("{\"reports\":[{\"model\":\"\\udfff\\ud800\"}]}".to_owned()),
        Just("{\"name\":\"a\",\"name\":\"b\",\"name\":\"c\"}".to_owned()),
        Just("{\"reports\":[],\"reports\":[]}".to_owned()),
        Just("\u{feff}{\"name\":\"a\"}".to_owned()),
        Just("{\"reports\":[{\"$serde_json::private::RawValue\":\"[[[[\"}]}".to_owned()),
        Just("{\"reports\":[{\"input_tokens\":{\"$serde_json::private::Number\":\"NaN\"}}]}".to_owned()),
    ]
}

impl Shape {
    /// The request, if HTTP knows such a one at all.
    fn request(&self, admin: &str) -> Option<Request<Body>> {
        let mut request = Request::new(Body::from(self.body.clone()));
        *request.method_mut() = Method::from_bytes(self.method.as_bytes()).ok()?;
        *request.uri_mut() = self.target.parse::<Uri>().ok()?;
        for (name, value) in &self.headers {
            request.headers_mut().append(*name, HeaderValue::from_bytes(value).ok()?);
        }
        let bearer = |token: &[u8]| HeaderValue::from_bytes(&[b"Bearer ", token].concat()).ok();
        match &self.token {
            Token::Admin => drop(request.headers_mut().insert("authorization", bearer(admin.as_bytes())?)),
            Token::Other(bytes) => drop(request.headers_mut().insert("authorization", bearer(bytes)?)),
            Token::None => {}
        }
        Some(request)
    }
}

#[test]
fn no_request_is_answered_with_a_failure_of_ours() {
    for_all(&shape(), async |bench: &Bench, shape| {
        let Some(request) = shape.request(&bench.admin) else { return Ok(()) };
        let answer = bench.send(request).await;
        if shape.method == "HEAD" || answer.content_type.is_empty() {
            prop_assert!(answer.status.as_u16() < 500, "{answer:?}");
            return Ok(());
        }
        uncompressed(&shape, &answer)
    });
}

/// A compressed answer is looked at from the outside only.
fn uncompressed(shape: &Shape, answer: &Answer) -> proptest::test_runner::TestCaseResult {
    if shape.headers.iter().any(|(name, _)| *name == "accept-encoding") {
        prop_assert!(answer.status.as_u16() < 500, "{answer:?}");
        return Ok(());
    }
    answer.check()
}
