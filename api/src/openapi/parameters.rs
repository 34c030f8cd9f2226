//! Query parameters that many endpoints share.

use utoipa::IntoParams;

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
pub(crate) struct FreshnessHeader {
    /// `Log-Position` of a command whose effect the response must include.
    #[param(rename = "Min-Log-Position", value_type = Option<super::values::LogPosition>)]
    min_log_position: Option<u64>,
}
