//! Values that cannot be wrong: parsed once at the edge, no I/O.
pub mod instant;
pub mod labels;
pub mod range;
