//! The problems that an operation answers with, derived from its route.

use std::collections::BTreeSet;

use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::authorization::RouteAccess;
use crate::problem::ProblemCode;
use crate::routes::Endpoint;

/// Statuses of operations that need a token: bad parameters or headers, no token, no permission, unknown ids, an
/// archived history, and an overloaded server.
const GUARDED: [u16; 6] = [400, 401, 403, 404, 410, 503];
/// Statuses of commands, in addition.
const COMMANDS: [u16; 6] = [408, 409, 412, 413, 415, 422];

/// Adds the problems to the responses of an operation. Responses that its handler describes stay.
pub(super) fn describe_problems(endpoint: &Endpoint, operation: &mut Operation) {
    for status in statuses(endpoint, operation) {
        let responses = &mut operation.responses.responses;
        responses
            .entry(status.to_string())
            .or_insert_with(|| RefOr::Ref(Ref::from_response_name(response_name(status))));
    }
}

fn statuses(endpoint: &Endpoint, operation: &Operation) -> BTreeSet<u16> {
    let mut statuses = BTreeSet::new();
    match endpoint.access {
        RouteAccess::AnyOf(_) => statuses.extend(GUARDED),
        RouteAccess::Public if has_query(operation) => statuses.extend([400, 503]),
        RouteAccess::Public => {}
    }
    if endpoint.method != "GET" {
        statuses.extend(COMMANDS);
    }
    if endpoint.path == "/events" {
        statuses.insert(409);
    }
    statuses
}

fn has_query(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.parameter_in == ParameterIn::Query,
        RefOr::Ref(_) => false,
    })
}

fn response_name(status: u16) -> String {
    format!("Problem{status}")
}

/// Returns the responses that are problems, by name; each description names the codes with its status.
pub(super) fn problem_responses() -> Vec<(String, Response)> {
    let statuses: BTreeSet<u16> = ProblemCode::ALL.iter().map(|code| code.status()).collect();
    let named = |status| (response_name(status), problem(status));
    statuses.into_iter().map(named).collect()
}

fn problem(status: u16) -> Response {
    let codes = ProblemCode::ALL
        .iter()
        .filter(|code| code.status() == status);
    let codes: Vec<&str> = codes.map(|code| code.as_str()).collect();
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    ResponseBuilder::new()
        .description(format!("A problem: {}.", codes.join(", ")))
        .content("application/problem+json", content)
        .build()
}
