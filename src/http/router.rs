//! All routes, and what wraps them.
//!
//! From the outside in: compression, `accompany` (id, log, count), panics, then, for the API alone, a place among
//! the requests being answered and a limit of time; then the handler, whose first extractor is the caller.
use super::openapi::{self, Base};
use super::{App, limits, request, service, v1};
use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Redirect;
use axum::routing::get;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;

/// The service, ready to be served.
pub fn router(app: App) -> Router {
    let (api, document) = documented(&app).split_for_parts();
    api.merge(openapi::routes(&document))
        .route("/", get(|| async { Redirect::temporary("/docs/") }))
        .fallback(request::unknown_route)
        .method_not_allowed_fallback(request::wrong_method)
        .layer(CatchPanicLayer::custom(request::after_panic))
        .layer(from_fn_with_state(app.clone(), request::accompany))
        .layer(CompressionLayer::new())
        .with_state(app)
}

fn documented(app: &App) -> OpenApiRouter<App> {
    let ordinary = v1::routes().layer(from_fn(limits::patience));
    let bulk = v1::bulk_routes().layer(from_fn(limits::long_patience));
    let crowd = from_fn_with_state((app.clone(), limits::places()), limits::crowd);
    OpenApiRouter::with_openapi(Base::openapi()).merge(service::routes()).merge(ordinary.merge(bulk).layer(crowd))
}
