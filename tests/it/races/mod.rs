//! What happens at once, one step at a time: every interleaving leaves every number exact.
mod changes;
mod maintenance;
pub(crate) mod session;
mod snapshots;
pub(crate) mod world;
mod writers;
