//! The problems that an operation answers with, derived from its route.

use std::collections::BTreeSet;

use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

use crate::authorization::RouteAccess;
use crate::problem::ProblemCode;
use crate::routes::Endpoint;

/// Statuses of operations that need a token: bad parameters or headers, no token, no permission, unknown ids, an
/// archived history, corrupt data, and an overloaded server.
const GUARDED: [u16; 7] = [400, 401, 403, 404, 410, 500, 503];
/// Statuses of commands, in addition.
const COMMANDS: [u16; 6] = [408, 409, 412, 413, 415, 422];

/// Describes the problems of an operation: those that follow from its route, and those whose status its handler names.
pub(super) fn describe_problems(endpoint: &Endpoint, operation: &mut Operation) {
    let mut described = statuses(endpoint, operation);
    let named = operation.responses.responses.keys();
    let named = named.filter_map(|status| status.parse::<u16>().ok());
    described.extend(named.filter(|status| *status >= 400));
    for status in described {
        let problem = Ref::from_response_name(response_name(status));
        let responses = &mut operation.responses.responses;
        responses.insert(status.to_string(), RefOr::Ref(problem));
    }
}

fn statuses(endpoint: &Endpoint, operation: &Operation) -> BTreeSet<u16> {
    let mut statuses = BTreeSet::new();
    match endpoint.access {
        RouteAccess::AnyOf(_) => statuses.extend(GUARDED),
        RouteAccess::Public => {
            if parameters(operation).any(|parameter| parameter.parameter_in == ParameterIn::Query) {
                statuses.extend([400, 503]);
            }
        }
    }
    if endpoint.method != "GET" {
        statuses.extend(COMMANDS);
    }
    // A position after the end of the log.
    let positions = ["as_of", "Min-Log-Position"];
    if parameters(operation).any(|parameter| positions.contains(&parameter.name.as_str())) {
        statuses.insert(409);
    }
    statuses
}

fn parameters(operation: &Operation) -> impl Iterator<Item = &Parameter> {
    let parameters = operation.parameters.iter().flatten();
    parameters.filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
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
