//! Who folds besides the service: pg_cron as it really is, and files for other schedulers.
pub(crate) mod cluster;
mod files;
mod pg_cron;
mod usual_user;
