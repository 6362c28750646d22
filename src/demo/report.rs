//! A task's usage as the fleet knows it, and as it is reported.
use super::cast::Offer;
use crate::model::Ticks;
use jiff::Timestamp;
use rand::RngExt;
use serde_json::{Value, json};
use uuid::Uuid;

/// Tokens of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    input: i64,
    output: i64,
    cache_read: i64,
    cache_write: i64,
    cache_write_1h: i64,
}

impl Tokens {
    /// What one request to a model may take.
    pub(super) fn of_a_request(rng: &mut impl RngExt) -> Self {
        let long_lived = rng.random_ratio(1, 5);
        let written = rng.random_range(0..2_000);
        Self {
            input: rng.random_range(200..6_000),
            output: rng.random_range(50..2_500),
            cache_read: rng.random_range(0..20_000),
            cache_write: if long_lived { 0 } else { written },
            cache_write_1h: if long_lived { written } else { 0 },
        }
    }

    /// Both together.
    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            input: self.input + other.input,
            output: self.output + other.output,
            cache_read: self.cache_read + other.cache_read,
            cache_write: self.cache_write + other.cache_write,
            cache_write_1h: self.cache_write_1h + other.cache_write_1h,
        }
    }

    /// What the provider asks for them; none where it names no price.
    fn cost(self, offer: &Offer) -> Option<Ticks> {
        let price = offer.price?;
        let ticks = self.input * price.input
            + self.output * price.output
            + self.cache_read * price.cache_read
            + self.cache_write * price.cache_write
            + self.cache_write_1h * price.cache_write_1h;
        Some(Ticks::try_from(ticks).expect("a demo's task costs less than a fortune"))
    }
}

/// A report's identity beside its task and model, and what orders it.
#[derive(Clone, Debug)]
pub(super) enum Of {
    /// The task's running total, its so-many-eth.
    Total { sequence: u32 },
    /// One event.
    Event { key: String, at: Timestamp },
}

/// The report as JSON.
pub(super) fn json(task: Uuid, offer: &Offer, of: &Of, tokens: Tokens) -> Value {
    let mut report = json!({
        "task_id": task,
        "provider": offer.provider,
        "model": offer.model,
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cache_read_tokens": tokens.cache_read,
        "cache_write_tokens": tokens.cache_write,
        "cache_write_1h_tokens": tokens.cache_write_1h,
    });
    if let Some(cost) = tokens.cost(offer) {
        report["cost_usd"] = json!(cost.to_string());
    }
    match of {
        Of::Total { sequence } => report["sequence"] = json!(sequence),
        Of::Event { key, at } => {
            report["event_key"] = json!(key);
            report["occurred_at"] = json!(at);
        }
    }
    report
}
