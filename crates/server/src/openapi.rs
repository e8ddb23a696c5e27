//! The API's description, and the routes: one list makes both, so neither can be without the other.

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde::Serialize;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, SecurityRequirement, Server};
use utoipa::{OpenApi as _, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::base_path::BasePath;
use crate::errors::{ApiError, ApiResult, Chain};
use crate::{
    access, builds, dashboards, devserver, dsns, files, ingest, live, metrics, projects,
    runner_tokens, runners, status, traces,
};

/// What went wrong.
#[derive(Serialize, ToSchema)]
pub(crate) struct Problem {
    /// What went wrong and what was expected, for people.
    error: String,
    /// What went wrong, for programs.
    code: String,
}

#[derive(utoipa::OpenApi)]
#[openapi(info(
    title = "Hopline",
    description = "Runs builds and coding agents on remote runners, and traces each event's whole journey. Errors are \
                   `{error, code}`; the formats of events and live updates are described in docs/wire.md."
))]
struct Description;

/// The routes and their description.
pub(crate) fn routes() -> (Router<Arc<App>>, OpenApi) {
    let (router, mut description) = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(ingest::take_events))
        .routes(routes!(traces::take_spans))
        .routes(routes!(traces::take_envelope))
        .routes(routes!(projects::list_projects, projects::create_project))
        .routes(routes!(projects::get_project, projects::delete_project))
        .routes(routes!(builds::start_build))
        .routes(routes!(builds::project_messages))
        .routes(routes!(devserver::start_dev_server))
        .routes(routes!(devserver::stop_dev_server))
        .routes(routes!(devserver::fetch_logs))
        .routes(routes!(files::list_files))
        .routes(routes!(files::read_file, files::write_file))
        .routes(routes!(builds::list_builds))
        .routes(routes!(builds::get_build))
        .routes(routes!(builds::build_events))
        .routes(routes!(builds::get_tool_call))
        .routes(routes!(builds::cancel_build))
        .routes(routes!(builds::rebuild_build))
        .routes(routes!(traces::list_traces))
        .routes(routes!(traces::export_spans))
        .routes(routes!(traces::get_trace))
        .routes(routes!(traces::get_span))
        .routes(routes!(traces::build_path))
        .routes(routes!(traces::query))
        .routes(routes!(traces::sql))
        .routes(routes!(traces::jaeger_services))
        .routes(routes!(traces::jaeger_operations_of))
        .routes(routes!(traces::jaeger_operations))
        .routes(routes!(traces::jaeger_search))
        .routes(routes!(traces::jaeger_trace))
        .routes(routes!(traces::jaeger_dependencies))
        .routes(routes!(runners::list_runners))
        .routes(routes!(
            runner_tokens::list_runner_tokens,
            runner_tokens::create_runner_token
        ))
        .routes(routes!(runner_tokens::revoke_runner_token))
        .routes(routes!(runner_tokens::check_runner_tokens))
        .routes(routes!(dsns::list_dsns, dsns::create_dsn))
        .routes(routes!(dsns::revoke_dsn))
        .routes(routes!(
            dashboards::get_dashboards,
            dashboards::put_dashboards
        ))
        .routes(routes!(live::live_updates))
        .routes(routes!(access::issue_token))
        .routes(routes!(access::sign_in_once, access::sign_in))
        .routes(routes!(access::sign_out))
        .routes(routes!(metrics::metrics))
        .routes(routes!(status::status))
        .routes(routes!(health))
        .routes(routes!(describe))
        .routes(routes!(front_page))
        .split_for_parts();
    secure(&mut description);
    let router = router
        .route("/api/{project}/envelope", post(traces::take_envelope))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method);
    (router, description)
}

/// Tells below which path everything is.
pub(crate) fn served_below(description: &mut OpenApi, base_path: &BasePath) {
    description.servers = Some(vec![Server::new(base_path.as_str())]);
}

/// Names the credentials; the admin secret is asked for wherever nothing else is said.
fn secure(description: &mut OpenApi) {
    let components = description.components.get_or_insert_default();
    for (name, what) in [
        ("admin", "The admin secret, or the console's cookie"),
        (
            "runner",
            "The runner secret; for events also a runner's own token",
        ),
        (
            "ingest",
            "An ingest key, the public key of a DSN, the runner secret, or a runner's own token",
        ),
    ] {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(what))
            .build();
        components.add_security_scheme(name, SecurityScheme::Http(scheme));
    }
    let dsn = ApiKey::Header(ApiKeyValue::with_description(
        "X-Sentry-Auth",
        "`Sentry sentry_key=…`: the public key of a DSN; also taken from the query and from the envelope's own dsn",
    ));
    components.add_security_scheme("dsn", SecurityScheme::ApiKey(dsn));
    description.security = Some(vec![SecurityRequirement::new("admin", [""; 0])]);
}

/// Whether the server is well.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
    version: &'static str,
}

/// Whether the server is well: it answers, and its database can be read.
#[utoipa::path(get, path = "/health", tag = "operation", security(()),
    responses((status = 200, body = Health), (status = 503, body = Problem)))]
pub(crate) async fn health(State(app): State<Arc<App>>) -> ApiResult<Json<Health>> {
    app.store.check().await.map_err(|error| {
        tracing::warn!(error = %Chain(&error), "the database cannot be read");
        ApiError::unavailable("database_unavailable", "the database cannot be read").retry_after(1)
    })?;
    Ok(Json(Health {
        status: "ok",
        version: env!("CARGO_PKG_VERSION"),
    }))
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "operation",
    responses((status = 200, content_type = "application/json")))]
pub(crate) async fn describe(_: access::Admin, State(app): State<Arc<App>>) -> Response {
    Json(&app.description).into_response()
}

/// The console; or how to get it, where this program has none.
#[utoipa::path(get, path = "/", tag = "operation", security(()),
    responses((status = 200, content_type = "text/html")))]
pub(crate) async fn front_page(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    app.console.page(&headers)
}

/// The console's other pages and its files; and what is nowhere.
async fn no_route(
    State(app): State<Arc<App>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let is_read = matches!(method, Method::GET | Method::HEAD);
    let found = is_read.then(|| app.console.at(uri.path(), &headers));
    found.flatten().unwrap_or_else(|| {
        let told = format!("there is no {}", uri.path());
        ApiError::new(StatusCode::NOT_FOUND, "not_found", told).into_response()
    })
}

async fn no_method(method: Method, uri: Uri) -> impl IntoResponse {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("{} does not take {method}", uri.path()),
    )
}
