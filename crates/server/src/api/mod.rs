//! The REST API under `/api/v1`: reads requests, calls [`App`], writes answers. It has no rules of its own.
//!
//! One file per kind of object. Every operation is named as its [`Action`] and is in the OpenAPI document that
//! [`document`] gives, from which the client is made.

mod answer;
mod audit;
mod configurations;
mod connectors;
mod doctor;
mod extract;
mod groups;
mod guard;
mod health;
mod icons;
mod images;
mod layer_folders;
mod layers;
mod making;
mod origin;
mod sessions;
mod settings;
mod tasks;
mod templates;
mod tokens;
mod users;
mod versions;
mod webhook;

pub use answer::ErrorBody;
pub(crate) use origin::{Front, Scheme};

use crate::app::App;
use crate::domain::Action;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware;
use std::collections::HashMap;
use std::time::Duration;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Where the API is.
const ROOT: &str = "/api/v1";
/// Largest body of a request, in bytes. Uploads have a limit of their own.
const BODY: usize = 1024 * 1024;
/// Longest time for an answer. What takes longer is a task.
const ANSWER: Duration = Duration::from_secs(60);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Lamina",
        description = "Versioned layers of operating systems and applications, composited into bootable images.",
        license(name = "GPL-3.0-or-later", identifier = "GPL-3.0-or-later")
    ),
    servers((url = "/api/v1")), // ROOT
    security(("session" = []), ("token" = [])),
    modifiers(&Security),
    components(schemas(ErrorBody)),
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
                extract::COOKIE,
                "The cookie that a log-in gives.",
            ))),
        );
        let mut token = Http::new(HttpAuthScheme::Bearer);
        token.description = Some("An API token.".to_owned());
        components.add_security_scheme("token", SecurityScheme::Http(token));
    }
}

fn operations() -> OpenApiRouter<App> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(health::health))
        .routes(routes!(sessions::log_in))
        .routes(routes!(sessions::log_out))
        .routes(routes!(sessions::me))
        .routes(routes!(sessions::change_password))
        .routes(routes!(sessions::list_sessions))
        .routes(routes!(sessions::end_session))
        .routes(routes!(tokens::list_tokens, tokens::create_token))
        .routes(routes!(tokens::delete_token))
        .routes(routes!(users::list_users, users::create_user))
        .routes(routes!(users::get_user, users::update_user, users::delete_user))
        .routes(routes!(users::reset_password))
        .routes(routes!(tokens::list_user_tokens))
        .routes(routes!(tokens::delete_user_token))
        .routes(routes!(sessions::list_user_sessions))
        .routes(routes!(sessions::end_user_session))
        .routes(routes!(groups::list_groups, groups::create_group))
        .routes(routes!(groups::get_group, groups::update_group, groups::delete_group))
        .routes(routes!(audit::list_audit))
        .routes(routes!(making::create_os_layer))
        .routes(routes!(making::create_app_layer))
        .routes(routes!(making::create_platform_layer))
        .routes(routes!(making::create_version))
        .routes(routes!(making::finalize_version))
        .routes(routes!(making::delete_version))
        .routes(routes!(making::publish_templates))
        .routes(routes!(making::collect_garbage))
        .routes(routes!(layer_folders::list_exported_layers))
        .routes(routes!(layer_folders::export_layers))
        .routes(routes!(layer_folders::import_layers))
        .routes(routes!(making::template_conflicts))
        .routes(routes!(making::diff_versions))
        .routes(routes!(making::version_report))
        .routes(routes!(tasks::list_tasks))
        .routes(routes!(tasks::get_task))
        .routes(routes!(tasks::list_task_log))
        .routes(routes!(tasks::stop_task))
        .routes(routes!(tasks::stop_tasks))
        .routes(routes!(icons::list_icons, icons::create_icon))
        .routes(routes!(icons::get_icon, icons::update_icon, icons::delete_icon))
        .routes(routes!(icons::get_icon_image))
        .routes(routes!(connectors::list_connectors))
        .routes(routes!(connectors::get_connector))
        .routes(routes!(connectors::check_credentials))
        .routes(routes!(connectors::test_connector))
        .routes(routes!(connectors::browse_connector))
        .routes(routes!(configurations::list_configurations, configurations::create_configuration))
        .routes(routes!(
            configurations::get_configuration,
            configurations::update_configuration,
            configurations::delete_configuration
        ))
        .routes(routes!(configurations::check_configuration))
        .routes(routes!(configurations::test_configuration))
        .routes(routes!(configurations::browse_configuration))
        .routes(routes!(doctor::examine_server))
        .routes(routes!(settings::get_settings, settings::update_settings))
        .routes(routes!(webhook::get_webhook, webhook::set_webhook, webhook::delete_webhook))
        .routes(routes!(webhook::test_webhook))
        .routes(routes!(layers::list_layers))
        .routes(routes!(layers::get_layer, layers::update_layer))
        .routes(routes!(layers::layer_users))
        .routes(routes!(layers::list_versions))
        .routes(routes!(layers::list_assignments))
        .routes(routes!(layers::resolve))
        .routes(routes!(versions::get_version, versions::update_version))
        .routes(routes!(versions::version_users))
        .routes(routes!(versions::add_assignments))
        .routes(routes!(versions::update_assignments))
        .routes(routes!(versions::remove_assignments))
        .routes(routes!(templates::list_templates, templates::create_template))
        .routes(routes!(templates::import_template))
        .routes(routes!(templates::get_template, templates::update_template, templates::delete_template))
        .routes(routes!(templates::clone_template))
        .routes(routes!(templates::export_template))
        .routes(routes!(templates::list_revisions))
        .routes(routes!(templates::get_revision))
        .routes(routes!(templates::compare_revisions))
        .routes(routes!(templates::diff_templates))
        .routes(routes!(templates::restore_revision))
        .routes(routes!(images::list_images))
        .routes(routes!(images::get_image, images::delete_image))
        .routes(routes!(images::diff_images))
}

/// The OpenAPI document of the API.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = operations().into_openapi();
    // Every operation can be refused in the one form; said once here instead of at each.
    for item in document.paths.paths.values_mut() {
        answer::declare_refusals(item);
    }
    document
}

/// The action of each operation, by its method and path.
fn actions() -> HashMap<(Method, String), Action> {
    let mut actions = HashMap::new();
    for (path, item) in document().paths.paths {
        let operations = [
            (Method::GET, item.get),
            (Method::PUT, item.put),
            (Method::POST, item.post),
            (Method::DELETE, item.delete),
            (Method::PATCH, item.patch),
        ];
        for (method, operation) in operations {
            let name = operation.and_then(|operation| operation.operation_id);
            let action = Action::ALL.iter().find(|action| Some(action.name()) == name.as_deref());
            actions.extend(action.map(|action| ((method, path.clone()), *action)));
        }
    }
    actions
}

/// The API's routes, at the root.
pub fn router(app: App) -> Router {
    let (routes, _) = operations().split_for_parts();
    let secure = |name: &'static str, value: &'static str| {
        SetResponseHeaderLayer::overriding(HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    let api = routes
        .route("/openapi.json", axum::routing::get(health::openapi))
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::no_such_method)
        .with_state(app);
    Router::new()
        .nest(ROOT, api)
        .fallback(answer::no_such_path)
        .method_not_allowed_fallback(answer::no_such_method)
        .layer(DefaultBodyLimit::max(BODY))
        .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::SERVICE_UNAVAILABLE, ANSWER))
        .layer(middleware::from_fn(guard::request))
        .layer(secure("x-content-type-options", "nosniff"))
        .layer(secure("x-frame-options", "DENY"))
        .layer(secure("referrer-policy", "no-referrer"))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
        ))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
}
