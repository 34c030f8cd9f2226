//! Query parameters that many endpoints share.

use utoipa::IntoParams;
use utoipa::openapi::RefOr;
use utoipa::openapi::path::Operation;

/// Page of a list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters")]
pub(crate) struct PageParameters {
    /// Page size, 1 to 500; default 50.
    #[param(value_type = Option<super::values::Limit>)]
    limit: Option<u32>,
    /// Cursor from the `Link: <...>; rel=\"next\"` header.
    #[param(value_type = Option<super::values::Cursor>)]
    cursor: Option<String>,
}

/// Point in time of a read.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters")]
pub(crate) struct AsOfParameter {
    /// RFC 3339 time or log position at which to read the resource.
    #[param(value_type = Option<super::values::AsOf>)]
    as_of: Option<String>,
}

/// Freshness of a read.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes parameters")]
struct FreshnessHeader {
    /// `Log-Position` of a command whose effect the response must include.
    #[param(rename = "Min-Log-Position", value_type = Option<super::values::LogPosition>)]
    min_log_position: Option<u64>,
}

/// Describes the header that every read of resources takes; such a read has a point in time or pages.
pub(super) fn describe_freshness(operation: &mut Operation) {
    let Some(parameters) = &mut operation.parameters else {
        return;
    };
    let is_read = parameters.iter().any(|parameter| match parameter {
        RefOr::T(parameter) => ["as_of", "cursor"].contains(&parameter.name.as_str()),
        RefOr::Ref(_) => false,
    });
    if is_read {
        let headers = FreshnessHeader::into_params(|| None);
        parameters.extend(headers.into_iter().map(RefOr::T));
    }
}
