//! The words of the domain as types: what is parsed once is valid everywhere. No I/O.
pub mod count;
pub mod id;
pub mod instant;
pub mod labels;
pub mod occurred;
pub mod range;
pub mod text;
pub mod ticks;

pub use count::Count;
pub use occurred::OccurredAt;
pub use text::{EventKey, Model, Name, Provider};
pub use ticks::Ticks;
