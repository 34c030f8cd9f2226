//! All routes: method and path, access, handler.

mod endpoint;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use clap::ValueEnum;
use utoipa_axum::routes;

use crate::app::App;
use crate::authorization::{Permission, RouteAccess};
use crate::command_request::BodyLimits;
use crate::problem::{Problem, ProblemCode};
use crate::{
    admin_projections, ai_models, ai_outputs, ai_tasks, feed, health, instances, middleware,
    modalities, openapi, orders, pacs_endpoints, procedures, reading_profiles, report_templates,
    reports, series, studies, timeline, viewer, worklist,
};

pub use endpoint::Endpoint;

/// Prefix under which all routes are served as well.
pub const PREFIX: &str = "/api/v1";

/// Removes the version prefix from a path, if any.
pub(crate) fn strip_version_prefix(path: &str) -> &str {
    path.strip_prefix(PREFIX).unwrap_or(path)
}

/// Part of the API that a process can serve alone, like each of the five services of the source system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ApiService {
    /// `/imaging`: the catalog and orders.
    Orders,
    /// `/pacs`: endpoints, studies, series, instances, viewer.
    Pacs,
    /// `/radiology/worklist` and `/radiology/reading-profiles`.
    Worklist,
    /// The rest of `/radiology`.
    Reporting,
    /// `/imaging-ai`.
    Ai,
}

impl ApiService {
    fn endpoints(self) -> Vec<Endpoint> {
        match self {
            Self::Orders => imaging(),
            Self::Pacs => pacs(),
            Self::Worklist => worklist(),
            Self::Reporting => reporting(),
            Self::Ai => imaging_ai(),
        }
    }
}

/// Returns all endpoints.
pub fn endpoints(metrics_open: bool) -> Vec<Endpoint> {
    endpoints_of(ApiService::value_variants(), metrics_open)
}

/// Returns the endpoints of some services, and those of every process: timeline, log and operations.
fn endpoints_of(services: &[ApiService], metrics_open: bool) -> Vec<Endpoint> {
    let all = ApiService::value_variants().iter();
    let served = all.filter(|service| services.contains(service));
    served
        .flat_map(|service| service.endpoints())
        .chain(patients())
        .chain(platform(metrics_open))
        .collect()
}

/// Returns the endpoints of `/imaging`.
fn imaging() -> Vec<Endpoint> {
    use Permission::{CancelOrders, CreateOrders, ProgressOrders, ReadOrders, WriteCatalog};
    let read = RouteAccess::AnyOf(&[ReadOrders]);
    let catalog = RouteAccess::AnyOf(&[WriteCatalog]);
    vec![
        Endpoint::new(routes!(modalities::create), catalog),
        Endpoint::new(routes!(modalities::list), read),
        Endpoint::new(routes!(modalities::one), read),
        Endpoint::new(routes!(modalities::update), catalog),
        Endpoint::new(routes!(procedures::create), catalog),
        Endpoint::new(routes!(procedures::list), read),
        Endpoint::new(routes!(procedures::one), read),
        Endpoint::new(routes!(procedures::update), catalog),
        Endpoint::new(routes!(orders::create), RouteAccess::AnyOf(&[CreateOrders])),
        Endpoint::new(routes!(orders::list), read),
        Endpoint::new(routes!(orders::one), read),
        Endpoint::new(
            routes!(orders::update),
            RouteAccess::AnyOf(&[CancelOrders, ProgressOrders]),
        ),
    ]
}

/// Returns the endpoints of `/pacs`.
fn pacs() -> Vec<Endpoint> {
    use Permission::{LaunchViewer, ReadOrders, ReadStudies, SyncStudies, WriteCatalog};
    let catalog = RouteAccess::AnyOf(&[WriteCatalog]);
    let read = RouteAccess::AnyOf(&[ReadStudies]);
    let read_catalog = RouteAccess::AnyOf(&[ReadOrders]);
    let sync = RouteAccess::AnyOf(&[SyncStudies]);
    vec![
        Endpoint::new(routes!(pacs_endpoints::create), catalog),
        Endpoint::new(routes!(pacs_endpoints::list), read_catalog),
        Endpoint::new(routes!(pacs_endpoints::one), read_catalog),
        Endpoint::new(routes!(pacs_endpoints::update), catalog),
        Endpoint::new(routes!(studies::sync), sync).with_long_bodies(),
        Endpoint::new(routes!(studies::list), read),
        Endpoint::new(routes!(studies::one), read),
        Endpoint::new(routes!(studies::update), sync),
        Endpoint::new(routes!(series::create), sync),
        Endpoint::new(routes!(series::list), read),
        Endpoint::new(routes!(instances::create), sync),
        Endpoint::new(routes!(instances::list), read),
        Endpoint::new(routes!(viewer::launch), RouteAccess::AnyOf(&[LaunchViewer])).with_effects(),
        Endpoint::new(routes!(viewer::verify), RouteAccess::Public).with_effects(),
    ]
}

/// Returns the endpoints of `/radiology/reading-profiles` and `/radiology/worklist`.
fn worklist() -> Vec<Endpoint> {
    use Permission::{
        ClaimCases, ContributeTriage, ManageWorklist, ReadOrders, ReadWorklist, ReleaseCases,
        WorkOnCases, WriteCatalog, WriteOwnProfile,
    };
    let catalog = RouteAccess::AnyOf(&[WriteCatalog]);
    let read_catalog = RouteAccess::AnyOf(&[ReadOrders]);
    let read = RouteAccess::AnyOf(&[ReadWorklist]);
    vec![
        Endpoint::new(routes!(reading_profiles::create), catalog),
        Endpoint::new(routes!(reading_profiles::list), read_catalog),
        Endpoint::new(routes!(reading_profiles::one), read_catalog),
        Endpoint::new(
            routes!(reading_profiles::update),
            RouteAccess::AnyOf(&[WriteCatalog, WriteOwnProfile]),
        ),
        Endpoint::new(
            routes!(reading_profiles::patch),
            RouteAccess::AnyOf(&[WriteCatalog, WriteOwnProfile]),
        ),
        Endpoint::new(
            routes!(worklist::create),
            RouteAccess::AnyOf(&[ManageWorklist]),
        ),
        Endpoint::new(routes!(worklist::list), read),
        Endpoint::new(routes!(worklist::one), read),
        Endpoint::new(routes!(worklist::claim), RouteAccess::AnyOf(&[ClaimCases])),
        Endpoint::new(
            routes!(worklist::release),
            RouteAccess::AnyOf(&[ReleaseCases]),
        ),
        Endpoint::new(
            routes!(worklist::update),
            RouteAccess::AnyOf(&[ManageWorklist, WorkOnCases, ContributeTriage]),
        ),
    ]
}

/// Returns the endpoints of `/patients`.
fn patients() -> Vec<Endpoint> {
    let read = RouteAccess::AnyOf(&[Permission::ReadReports]);
    vec![Endpoint::new(routes!(timeline::list), read)]
}

/// Returns the endpoints of `/imaging-ai`.
fn imaging_ai() -> Vec<Endpoint> {
    use Permission::{ReadAiModels, ReadAiResults, RequestAiTasks, WriteAiResults, WriteCatalog};
    let catalog = RouteAccess::AnyOf(&[WriteCatalog]);
    let models = RouteAccess::AnyOf(&[ReadAiModels]);
    let ai_results = RouteAccess::AnyOf(&[ReadAiResults]);
    vec![
        Endpoint::new(routes!(ai_models::create), catalog),
        Endpoint::new(routes!(ai_models::list), models),
        Endpoint::new(routes!(ai_models::one), models),
        Endpoint::new(routes!(ai_models::update), catalog),
        Endpoint::new(
            routes!(ai_tasks::create),
            RouteAccess::AnyOf(&[RequestAiTasks]),
        ),
        Endpoint::new(routes!(ai_tasks::list), ai_results),
        Endpoint::new(routes!(ai_tasks::one), ai_results),
        Endpoint::new(
            routes!(ai_tasks::update_status),
            RouteAccess::AnyOf(&[WriteAiResults, RequestAiTasks]),
        ),
        Endpoint::new(
            routes!(ai_outputs::create),
            RouteAccess::AnyOf(&[WriteAiResults]),
        ),
        Endpoint::new(routes!(ai_outputs::list), ai_results),
        Endpoint::new(routes!(ai_outputs::one), ai_results),
    ]
}

/// Returns the endpoints of reporting in `/radiology`.
fn reporting() -> Vec<Endpoint> {
    use Permission::{ReadOrders, ReadReports, ReadWorklist, WriteCatalog, WriteReports};
    let read = RouteAccess::AnyOf(&[ReadOrders]);
    let catalog = RouteAccess::AnyOf(&[WriteCatalog]);
    let read_reports = RouteAccess::AnyOf(&[ReadReports]);
    let write_reports = RouteAccess::AnyOf(&[WriteReports]);
    vec![
        Endpoint::new(routes!(report_templates::create), catalog),
        Endpoint::new(routes!(report_templates::list), read),
        Endpoint::new(routes!(report_templates::one), read),
        Endpoint::new(routes!(report_templates::update), catalog),
        Endpoint::new(routes!(reports::create), write_reports),
        Endpoint::new(routes!(reports::list), read_reports),
        Endpoint::new(routes!(reports::one), read_reports),
        Endpoint::new(routes!(reports::update), write_reports),
        Endpoint::new(routes!(reports::sign), write_reports),
        Endpoint::new(routes!(reports::cancel), write_reports),
        Endpoint::new(routes!(reports::add_addendum), write_reports),
        Endpoint::new(routes!(reports::addenda), read_reports),
        Endpoint::new(routes!(reports::communicate), write_reports),
        Endpoint::new(routes!(reports::review_suggestion), write_reports),
        Endpoint::new(
            routes!(reports::critical_results::list),
            RouteAccess::AnyOf(&[ReadWorklist]),
        ),
    ]
}

/// Returns the endpoints of the log and of operations.
fn platform(metrics_open: bool) -> Vec<Endpoint> {
    use Permission::{OperatePlatform, ReadFeed};
    let operate = RouteAccess::AnyOf(&[OperatePlatform]);
    let metrics = if metrics_open {
        RouteAccess::Public
    } else {
        operate
    };
    vec![
        Endpoint::new(routes!(feed::events), RouteAccess::AnyOf(&[ReadFeed])),
        Endpoint::new(routes!(admin_projections::list), operate),
        Endpoint::new(routes!(admin_projections::retry), operate),
        Endpoint::new(routes!(health::live), RouteAccess::Public),
        Endpoint::new(routes!(health::ready), RouteAccess::Public),
        Endpoint::new(routes!(health::metrics), metrics),
        Endpoint::new(routes!(openapi::document), RouteAccess::Public),
        Endpoint::new(routes!(openapi::page), RouteAccess::Public),
        Endpoint::new(routes!(openapi::problem_page), RouteAccess::Public),
    ]
}

/// Builds the router of these services.
pub fn router(app: App, services: &[ApiService]) -> Router {
    let mut router = Router::new();
    for Endpoint {
        path,
        access,
        handler,
        body_limits,
        ..
    } in endpoints_of(services, app.metrics_open)
    {
        let guarded = handler.layer(from_fn_with_state(
            (app.clone(), access, body_limits),
            authorize,
        ));
        router = router
            .route(&path, guarded.clone())
            .route(&format!("{PREFIX}{path}"), guarded);
    }
    router
        .fallback(async || Problem::new(ProblemCode::NotFound, "no such path"))
        .method_not_allowed_fallback(async || {
            Problem::new(
                ProblemCode::MethodNotAllowed,
                "method not allowed for this path",
            )
        })
        .layer(from_fn_with_state(app.clone(), middleware::request_context))
        .with_state(app)
}

/// Authorises a request; the only place where access is decided.
async fn authorize(
    State((app, access, body_limits)): State<(App, RouteAccess, BodyLimits)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    if access == RouteAccess::Public {
        return Ok(next.run(request).await);
    }
    let caller = app.identity.caller(request.headers())?;
    if !access.allows(&caller.roles) {
        return Err(Problem::new(
            ProblemCode::Forbidden,
            "none of the token's roles grants this permission",
        ));
    }
    let tenant = caller.tenant;
    let is_read = request.method().is_safe();
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(body_limits);
    let answer = next.run(request).await;
    app.answers.admit(tenant, is_read, answer)
}

#[cfg(test)]
mod tests;
