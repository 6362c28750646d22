//! What Tallybook says about itself: logs and metrics. Neither ever carries a token, a body or a name of a tenant.
pub mod log;
pub mod metrics;
