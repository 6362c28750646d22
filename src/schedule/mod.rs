//! Who folds when no service runs, or beside it: pg_cron, systemd, Kubernetes, cron.
//!
//! A tick is harmless wherever and however often it is made: the second one leaves at once. So all schedulers may run together, and
//! with the loop of `tallybook serve`. [`pg_cron`] works in the database; [`files`] are for the others to be given.
pub mod files;
pub mod pg_cron;
