//! What can be done with runtimes besides what all entities have.
mod reassign_tasks;

use crate::http::App;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(super) fn bulk_routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(reassign_tasks::reassign_tasks))
}
