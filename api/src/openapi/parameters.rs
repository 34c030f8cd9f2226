//! Parameters that many endpoints take.

use utoipa::IntoParams;

/// A page of a list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters")]
pub(crate) struct PageParameters {
    /// 1 to 500; 50 where left out.
    limit: Option<u32>,
    /// From `Link: <...>; rel="next"`.
    cursor: Option<String>,
}

/// Time travel.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters")]
pub(crate) struct AsOfParameter {
    /// An RFC 3339 time or a log position: the resource as it was then.
    as_of: Option<String>,
}
