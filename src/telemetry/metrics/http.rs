//! Requests over HTTP, by method, route and status.
use super::durations;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::time::Duration;

/// Which requests a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Request {
    /// HTTP method, `OTHER` for one that we do not know.
    pub method: &'static str,
    /// The route's template, never the path itself.
    pub route: String,
    /// HTTP status.
    pub status: u16,
}

/// Which requests a duration belongs to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Route {
    /// HTTP method, `OTHER` for one that we do not know.
    pub method: &'static str,
    /// The route's template, never the path itself.
    pub route: String,
}

/// What a token had too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RateLimit {
    /// Requests in a second.
    Requests,
    /// Usage reports in a second.
    Reports,
}

impl RateLimit {
    /// Its name, in answers too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Reports => "reports",
        }
    }
}

/// Which refusals a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RateLimited {
    limit: &'static str,
}

/// Requests over HTTP.
pub struct Http {
    /// Requests answered.
    pub requests: Family<Request, Counter>,
    /// How long answering took.
    pub duration_seconds: Family<Route, Histogram>,
    /// Requests of the API being answered now.
    pub in_flight: Gauge,
    rate_limited: Family<RateLimited, Counter>,
}

impl Http {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let http = Self {
            requests: Family::default(),
            duration_seconds: Family::new_with_constructor(durations),
            in_flight: Gauge::default(),
            rate_limited: Family::default(),
        };
        registry.register("http_requests", "HTTP requests answered", http.requests.clone());
        registry.register_with_unit(
            "http_duration",
            "How long answering an HTTP request took",
            Unit::Seconds,
            http.duration_seconds.clone(),
        );
        registry.register("http_in_flight", "HTTP requests of the API being answered now", http.in_flight.clone());
        registry.register(
            "http_rate_limited",
            "HTTP requests refused because their token asked for too much in a second",
            http.rate_limited.clone(),
        );
        // A rate needs a value to begin with.
        for limit in [RateLimit::Requests, RateLimit::Reports] {
            drop(http.rate_limited.get_or_create(&RateLimited { limit: limit.name() }));
        }
        http
    }

    /// Notes a request that was refused because its token asked for too much.
    pub fn count_rate_limited(&self, limit: RateLimit) {
        self.rate_limited.get_or_create(&RateLimited { limit: limit.name() }).inc();
    }

    /// Notes a request that has been answered.
    pub fn record(&self, method: &'static str, route: &str, status: u16, duration: Duration) {
        let route = route.to_owned();
        self.duration_seconds.get_or_create(&Route { method, route: route.clone() }).observe(duration.as_secs_f64());
        self.requests.get_or_create(&Request { method, route, status }).inc();
    }
}
