//! What is open to all: whether the service lives, whether it can serve, and what it counts. None of it names a tenant.
mod health;
mod metrics;
mod ready;

use super::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(health::health)).routes(routes!(ready::ready)).routes(routes!(metrics::metrics))
}
