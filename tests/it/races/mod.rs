//! What happens at once, one step at a time: every interleaving leaves every number exact.
mod changes;
pub(crate) mod session;
pub(crate) mod world;
mod writers;
