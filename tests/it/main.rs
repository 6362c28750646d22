//! Integration tests: one binary, a database for each test.
mod invariant;
