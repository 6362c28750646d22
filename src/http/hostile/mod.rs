//! Requests that no well-meaning client sends. Whatever comes: no panic, no 5xx for a client's fault, nothing half-stored, and
//! the rollups exact afterwards.
//!
//! Properties run [`CASES`] times unless `TALLYBOOK_FUZZ_CASES` says otherwise; inputs that failed are kept beside the tests and
//! tried first.
mod connections;
mod reports;
mod requests;
mod texts;
mod tokens;

use crate::http::testing::{Api, app};
use crate::http::{App, router};
use crate::testing::hostile;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use serde_json::Value;
use tower::ServiceExt;

/// How often a property is tried.
const CASES: u32 = 256;

/// A service with a world in it.
struct Bench {
    api: Api,
    app: App,
    router: Router,
    admin: String,
}

impl Bench {
    async fn new() -> Self {
        let api = Api::start().await;
        api.world().await;
        let app = app(&api.database, &api.clock);
        let admin = api.token(None, &[crate::access::Scope::Admin]).await;
        Self { router: router(app.clone()), app, admin, api }
    }

    /// The answer to a request as it is: nothing is added and nothing escaped.
    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("the router always answers");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("answers are whole").to_bytes();
        Answer { status: parts.status, content_type: header(&parts.headers, "content-type"), body: body.to_vec() }
    }

    /// The rollups show just what the raw rows say.
    async fn assert_exact(&self) {
        let report = crate::rollup::verify::verify(&self.app.pool).await.unwrap();
        assert!(report.exact(), "{report:?}");
    }
}

fn header(headers: &axum::http::HeaderMap, name: &str) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    content_type: String,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// It is no failure of ours, and whatever is not a success is a problem that says so.
    fn check(&self) -> TestCaseResult {
        prop_assert!(self.status.as_u16() < 500, "{self:?}");
        if self.status.is_client_error() {
            prop_assert_eq!(&self.content_type, "application/problem+json");
            let problem = self.json().unwrap_or_default();
            prop_assert_eq!(problem["status"].as_u64(), Some(self.status.as_u16().into()), "{}", problem);
            prop_assert!(problem["code"].is_string() && problem["request_id"].is_string(), "{}", problem);
        }
        Ok(())
    }
}

/// Tries `check` with many inputs of `strategy` on one service, whose rollups must be exact at the end.
fn for_all<S: Strategy>(strategy: &S, check: impl AsyncFn(&Bench, S::Value) -> TestCaseResult) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let bench = runtime.block_on(Bench::new());
    let on = (&runtime, &bench);
    hostile::for_all("src/http/hostile/failing-seeds.txt", CASES, strategy, move |input| on.0.block_on(check(on.1, input)));
    runtime.block_on(bench.assert_exact());
}
