//! Version 1 of the API: one file per endpoint, with its documentation and its tests.
mod audit;
mod entity;
mod runtimes;
mod usage;

use super::App;
use utoipa_axum::router::OpenApiRouter;

/// What is answered at once.
pub(super) fn routes() -> OpenApiRouter<App> {
    entity::routes().merge(usage::routes()).merge(audit::routes())
}

/// What may take long.
pub(super) fn bulk_routes() -> OpenApiRouter<App> {
    entity::bulk_routes().merge(runtimes::bulk_routes())
}
