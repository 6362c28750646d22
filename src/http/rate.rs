//! How much a token may ask for in a second, and what it may save up.
//!
//! Each instance limits for itself, by the generic cell rate algorithm: a token that has rested may spend [`SAVED_UP`] at once, and goes
//! on at its rate. Only tokens that are known are limited, so the memory that this takes is bounded by their number; what has
//! rested long enough is forgotten.
use super::error::Problem;
use crate::clock::Clock;
use crate::ingest;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::metrics::http::RateLimit;
use governor::clock::Clock as Ticks;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

/// Seconds of its rate that a token which rested may spend at once.
pub const SAVED_UP: u32 = 10;
/// How often those who rest are forgotten.
const FORGET_EVERY: Duration = Duration::from_mins(1);

/// What each token may ask for in a second; `None` sets no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Requests, whatever they ask for.
    pub requests: Option<NonZeroU32>,
    /// Usage reports, however many a request has.
    pub reports: Option<NonZeroU32>,
}

/// The machine's clock or a test's, as the algorithm wants it: it never goes back.
#[derive(Clone, Debug)]
struct Ticking(Clock);

impl Ticks for Ticking {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

type Limiter = RateLimiter<Uuid, DashMapStateStore<Uuid>, Ticking, NoOpMiddleware<Duration>>;

/// What every token has spent. Clones share it.
#[derive(Clone)]
pub struct RateLimits(Arc<Inner>);

struct Inner {
    clock: Ticking,
    requests: Option<Limiter>,
    reports: Option<Limiter>,
    /// Seconds of the clock when those who rest were forgotten last.
    forgot_at: AtomicU64,
}

impl fmt::Debug for RateLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimits").finish_non_exhaustive()
    }
}

impl RateLimits {
    /// Nobody has spent anything yet.
    pub fn new(rates: Rates, clock: &Clock) -> Self {
        let clock = Ticking(clock.clone());
        let limiter = |rate: NonZeroU32, least: usize| {
            let saved_up = rate.saturating_mul(NonZeroU32::MIN.saturating_add(SAVED_UP - 1));
            let least = u32::try_from(least).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
            RateLimiter::dashmap_with_clock(Quota::per_second(rate).allow_burst(saved_up.max(least)), clock.clone())
        };
        let forgot_at = AtomicU64::new(clock.now().as_secs());
        Self(Arc::new(Inner {
            requests: rates.requests.map(|rate| limiter(rate, 1)),
            // A request of full size must pass at some time.
            reports: rates.reports.map(|rate| limiter(rate, ingest::Limits::REPORTS_MAX)),
            clock,
            forgot_at,
        }))
    }

    /// Lets a request of `token` pass, or says when to come again.
    pub(super) fn request(&self, token: Uuid, metrics: &Metrics) -> Result<(), Problem> {
        self.spend(self.0.requests.as_ref(), token, NonZeroU32::MIN, RateLimit::Requests, metrics)
    }

    /// The same for so many reports; more than a request may have are left to whoever refuses those.
    pub(super) fn reports(&self, token: Uuid, count: usize, metrics: &Metrics) -> Result<(), Problem> {
        let Some(count) = u32::try_from(count).ok().and_then(NonZeroU32::new) else { return Ok(()) };
        self.spend(self.0.reports.as_ref(), token, count, RateLimit::Reports, metrics)
    }

    fn spend(
        &self,
        limiter: Option<&Limiter>,
        token: Uuid,
        count: NonZeroU32,
        limit: RateLimit,
        metrics: &Metrics,
    ) -> Result<(), Problem> {
        let Some(limiter) = limiter else { return Ok(()) };
        self.forget();
        let Ok(Err(refused)) = limiter.check_key_n(&token, count) else { return Ok(()) };
        let wait = refused.wait_time_from(self.0.clock.now());
        metrics.http.count_rate_limited(limit);
        let saved_up = refused.quota().burst_size().get();
        let detail = format!(
            "this token asks for too many {0}; it may save up {saved_up} and no more: send fewer a second, or wait as Retry-After says",
            limit.name()
        );
        Err(Problem::too_many(detail, wait).with("limit", limit.name()))
    }

    /// Forgets, now and then, who has rested long enough to be as good as new.
    fn forget(&self) {
        let (now, last) = (self.0.clock.now().as_secs(), self.0.forgot_at.load(Ordering::Relaxed));
        let is_due = now.saturating_sub(last) >= FORGET_EVERY.as_secs();
        if is_due && self.0.forgot_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            for limiter in [&self.0.requests, &self.0.reports].into_iter().flatten() {
                limiter.retain_recent();
                limiter.shrink_to_fit();
            }
        }
    }

    /// How many tokens are remembered.
    #[cfg(test)]
    fn remembered(&self) -> usize {
        [&self.0.requests, &self.0.reports].into_iter().flatten().map(RateLimiter::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::Scope;
    use crate::http::App;
    use crate::http::testing::{Api, app, id};
    use axum_test::{TestResponse, TestServer};
    use jiff::SignedDuration;
    use serde_json::{Value, json};

    fn rates(requests: u32, reports: u32) -> Rates {
        Rates { requests: NonZeroU32::new(requests), reports: NonZeroU32::new(reports) }
    }

    fn server(api: &Api, rates: Rates) -> TestServer {
        let app = app(&api.database, &api.clock);
        TestServer::new(crate::http::router(App { rates: RateLimits::new(rates, &api.clock), ..app }))
    }

    fn assert_limited(response: &TestResponse, limit: &str, retry_after: &str) {
        response.assert_status_too_many_requests();
        let problem: Value = response.json();
        assert_eq!((&problem["code"], &problem["limit"]), (&"rate_limited".into(), &limit.into()));
        assert_eq!(response.header("retry-after"), retry_after);
        assert_eq!(response.header("content-type"), "application/problem+json");
    }

    #[tokio::test]
    async fn a_token_spends_what_it_saved_up_and_then_its_rate() {
        let api = Api::start().await;
        let server = server(&api, rates(2, 0));
        let (token, other) = (api.token(None, &[Scope::Read]).await, api.token(None, &[Scope::Read]).await);
        let ask = async |token: &str| server.get("/v1/agents").authorization_bearer(token).await;
        for _ in 0..20 {
            ask(&token).await.assert_status_ok();
        }
        assert_limited(&ask(&token).await, "requests", "1");
        ask(&other).await.assert_status_ok();
        api.clock.advance(SignedDuration::from_millis(499));
        assert_limited(&ask(&token).await, "requests", "1");
        api.clock.advance(SignedDuration::from_millis(1));
        ask(&token).await.assert_status_ok();
        assert_limited(&ask(&token).await, "requests", "1");
        api.clock.advance(SignedDuration::from_hours(1));
        for _ in 0..20 {
            ask(&token).await.assert_status_ok();
        }
        assert_limited(&ask(&token).await, "requests", "1");
        let metrics = server.get("/metrics").await.text();
        assert!(metrics.contains(r#"tallybook_http_rate_limited_total{limit="requests"} 4"#), "{metrics}");
        server.get("/healthz").await.assert_status_ok();
    }

    #[tokio::test]
    async fn reports_are_counted_not_their_requests() {
        let api = Api::start().await;
        api.world().await;
        let server = server(&api, rates(0, 100));
        let token = api.token(None, &[Scope::Ingest]).await;
        let send = async |count: usize| {
            let report = |number: usize| {
                json!({"task_id": id("task"), "provider": "p", "model": "m", "event_key": number.to_string(),
                    "input_tokens": 1, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0})
            };
            let reports: Vec<Value> = (0..count).map(report).collect();
            server.post("/v1/usage").authorization_bearer(&token).json(&json!({ "reports": reports })).await
        };
        // A full request passes although it is a hundred seconds' worth.
        send(ingest::Limits::REPORTS_MAX).await.assert_status_ok();
        assert_limited(&send(1).await, "reports", "1");
        assert_limited(&send(150).await, "reports", "2");
        let refused: Value = send(0).await.json();
        assert_eq!(refused["code"], "empty_batch");
        assert_eq!(send(ingest::Limits::REPORTS_MAX + 1).await.json::<Value>()["code"], "too_many_reports");
        api.clock.advance(SignedDuration::from_secs(2));
        send(150).await.assert_status_ok();
        send(50).await.assert_status_ok();
        assert_limited(&send(1).await, "reports", "1");
    }

    #[tokio::test]
    async fn nothing_is_limited_unless_it_was_asked_for() {
        let api = Api::start().await;
        for _ in 0..200 {
            api.get("/v1/agents?limit=1").await.assert_status_ok();
        }
    }

    #[test]
    fn who_rests_is_forgotten() {
        let clock = Clock::fixed("2026-03-10T12:00:00Z".parse().unwrap());
        let (limits, metrics) = (RateLimits::new(rates(1, 1), &clock), Metrics::new());
        for token in 0..10_000 {
            limits.request(Uuid::from_u128(token), &metrics).unwrap();
            limits.reports(Uuid::from_u128(token), 1, &metrics).unwrap();
        }
        assert_eq!(limits.remembered(), 20_000);
        clock.advance(SignedDuration::from_secs(61));
        limits.request(Uuid::max(), &metrics).unwrap();
        assert_eq!(limits.remembered(), 1);
    }
}
