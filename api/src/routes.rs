//! All routes: method and path, access, handler.

mod endpoint;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use clap::ValueEnum;

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
        Endpoint::new(modalities::__path_create, catalog, modalities::create),
        Endpoint::new(modalities::__path_list, read, modalities::list),
        Endpoint::new(modalities::__path_one, read, modalities::one),
        Endpoint::new(modalities::__path_update, catalog, modalities::update),
        Endpoint::new(procedures::__path_create, catalog, procedures::create),
        Endpoint::new(procedures::__path_list, read, procedures::list),
        Endpoint::new(procedures::__path_one, read, procedures::one),
        Endpoint::new(procedures::__path_update, catalog, procedures::update),
        Endpoint::new(
            orders::__path_create,
            RouteAccess::AnyOf(&[CreateOrders]),
            orders::create,
        ),
        Endpoint::new(orders::__path_list, read, orders::list),
        Endpoint::new(orders::__path_one, read, orders::one),
        Endpoint::new(
            orders::__path_update,
            RouteAccess::AnyOf(&[CancelOrders, ProgressOrders]),
            orders::update,
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
        Endpoint::new(
            pacs_endpoints::__path_create,
            catalog,
            pacs_endpoints::create,
        ),
        Endpoint::new(
            pacs_endpoints::__path_list,
            read_catalog,
            pacs_endpoints::list,
        ),
        Endpoint::new(
            pacs_endpoints::__path_one,
            read_catalog,
            pacs_endpoints::one,
        ),
        Endpoint::new(
            pacs_endpoints::__path_update,
            catalog,
            pacs_endpoints::update,
        ),
        Endpoint::new(studies::__path_sync, sync, studies::sync).with_long_bodies(),
        Endpoint::new(studies::__path_list, read, studies::list),
        Endpoint::new(studies::__path_one, read, studies::one),
        Endpoint::new(studies::__path_update, sync, studies::update),
        Endpoint::new(series::__path_create, sync, series::create),
        Endpoint::new(series::__path_list, read, series::list),
        Endpoint::new(instances::__path_create, sync, instances::create),
        Endpoint::new(instances::__path_list, read, instances::list),
        Endpoint::new(
            viewer::__path_launch,
            RouteAccess::AnyOf(&[LaunchViewer]),
            viewer::launch,
        )
        .with_effects(),
        Endpoint::new(viewer::__path_verify, RouteAccess::Public, viewer::verify).with_effects(),
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
        Endpoint::new(
            reading_profiles::__path_create,
            catalog,
            reading_profiles::create,
        ),
        Endpoint::new(
            reading_profiles::__path_list,
            read_catalog,
            reading_profiles::list,
        ),
        Endpoint::new(
            reading_profiles::__path_one,
            read_catalog,
            reading_profiles::one,
        ),
        Endpoint::new(
            reading_profiles::__path_update,
            RouteAccess::AnyOf(&[WriteCatalog, WriteOwnProfile]),
            reading_profiles::update,
        ),
        Endpoint::new(
            reading_profiles::__path_patch,
            RouteAccess::AnyOf(&[WriteCatalog, WriteOwnProfile]),
            reading_profiles::patch,
        ),
        Endpoint::new(
            worklist::__path_create,
            RouteAccess::AnyOf(&[ManageWorklist]),
            worklist::create,
        ),
        Endpoint::new(worklist::__path_list, read, worklist::list),
        Endpoint::new(worklist::__path_one, read, worklist::one),
        Endpoint::new(
            worklist::__path_claim,
            RouteAccess::AnyOf(&[ClaimCases]),
            worklist::claim,
        ),
        Endpoint::new(
            worklist::__path_release,
            RouteAccess::AnyOf(&[ReleaseCases]),
            worklist::release,
        ),
        Endpoint::new(
            worklist::__path_update,
            RouteAccess::AnyOf(&[ManageWorklist, WorkOnCases, ContributeTriage]),
            worklist::update,
        ),
    ]
}

/// Returns the endpoints of `/patients`.
fn patients() -> Vec<Endpoint> {
    let read = RouteAccess::AnyOf(&[Permission::ReadReports]);
    vec![Endpoint::new(timeline::__path_list, read, timeline::list)]
}

/// Returns the endpoints of `/imaging-ai`.
fn imaging_ai() -> Vec<Endpoint> {
    use Permission::{ReadAiModels, ReadAiResults, RequestAiTasks, WriteAiResults, WriteCatalog};
    let catalog = RouteAccess::AnyOf(&[WriteCatalog]);
    let models = RouteAccess::AnyOf(&[ReadAiModels]);
    let ai_results = RouteAccess::AnyOf(&[ReadAiResults]);
    vec![
        Endpoint::new(ai_models::__path_create, catalog, ai_models::create),
        Endpoint::new(ai_models::__path_list, models, ai_models::list),
        Endpoint::new(ai_models::__path_one, models, ai_models::one),
        Endpoint::new(ai_models::__path_update, catalog, ai_models::update),
        Endpoint::new(
            ai_tasks::__path_create,
            RouteAccess::AnyOf(&[RequestAiTasks]),
            ai_tasks::create,
        ),
        Endpoint::new(ai_tasks::__path_list, ai_results, ai_tasks::list),
        Endpoint::new(ai_tasks::__path_one, ai_results, ai_tasks::one),
        Endpoint::new(
            ai_tasks::__path_update_status,
            RouteAccess::AnyOf(&[WriteAiResults, RequestAiTasks]),
            ai_tasks::update_status,
        ),
        Endpoint::new(
            ai_outputs::__path_create,
            RouteAccess::AnyOf(&[WriteAiResults]),
            ai_outputs::create,
        ),
        Endpoint::new(ai_outputs::__path_list, ai_results, ai_outputs::list),
        Endpoint::new(ai_outputs::__path_one, ai_results, ai_outputs::one),
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
        Endpoint::new(
            report_templates::__path_create,
            catalog,
            report_templates::create,
        ),
        Endpoint::new(report_templates::__path_list, read, report_templates::list),
        Endpoint::new(report_templates::__path_one, read, report_templates::one),
        Endpoint::new(
            report_templates::__path_update,
            catalog,
            report_templates::update,
        ),
        Endpoint::new(reports::__path_create, write_reports, reports::create),
        Endpoint::new(reports::__path_list, read_reports, reports::list),
        Endpoint::new(reports::__path_one, read_reports, reports::one),
        Endpoint::new(reports::__path_update, write_reports, reports::update),
        Endpoint::new(reports::__path_sign, write_reports, reports::sign),
        Endpoint::new(reports::__path_cancel, write_reports, reports::cancel),
        Endpoint::new(
            reports::__path_add_addendum,
            write_reports,
            reports::add_addendum,
        ),
        Endpoint::new(reports::__path_addenda, read_reports, reports::addenda),
        Endpoint::new(
            reports::__path_communicate,
            write_reports,
            reports::communicate,
        ),
        Endpoint::new(
            reports::__path_review_suggestion,
            write_reports,
            reports::review_suggestion,
        ),
        Endpoint::new(
            reports::critical_results::__path_list,
            RouteAccess::AnyOf(&[ReadWorklist]),
            reports::critical_results::list,
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
        Endpoint::new(
            feed::__path_events,
            RouteAccess::AnyOf(&[ReadFeed]),
            feed::events,
        ),
        Endpoint::new(
            admin_projections::__path_list,
            operate,
            admin_projections::list,
        ),
        Endpoint::new(
            admin_projections::__path_retry,
            operate,
            admin_projections::retry,
        ),
        Endpoint::new(health::__path_live, RouteAccess::Public, health::live),
        Endpoint::new(health::__path_ready, RouteAccess::Public, health::ready),
        Endpoint::new(health::__path_metrics, metrics, health::metrics),
        Endpoint::new(
            openapi::__path_document,
            RouteAccess::Public,
            openapi::document,
        ),
        Endpoint::new(openapi::__path_page, RouteAccess::Public, openapi::page),
        Endpoint::new(
            openapi::__path_problem_page,
            RouteAccess::Public,
            openapi::problem_page,
        ),
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
