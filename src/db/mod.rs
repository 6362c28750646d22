//! The database: connections, what its errors mean, and the schema's migrations.
pub mod database;
pub mod error;
pub mod migrate;
pub mod pool;
pub mod presence;
pub mod schema;
pub mod session;
pub mod snapshot;
pub mod source;
