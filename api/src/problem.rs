//! Problem documents (RFC 9457): the one place where errors become responses.
//!
//! Every code has a page in `docs/problems/`, served at its `type` URI. A failure is logged once, here, with its source
//! chain; the response never contains the chain.

mod mapping;

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use roentgen_store::error::error_chain;
use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $status:literal $code:literal $title:literal;)+) => {
        /// Code of a problem. Frozen: clients match on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemCode {
            $($(#[$doc])* $variant,)+
        }

        impl ProblemCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the member `code`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// Returns the HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// Returns the member `title`.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// Returns the page of the code, as Markdown.
            pub const fn page(self) -> &'static str {
                match self {
                    $(Self::$variant => {
                        include_str!(concat!("../../docs/problems/", $code, ".md"))
                    })+
                }
            }
        }
    };
}

codes! {
    /// Body that is not JSON.
    MalformedJson = 400 "malformed_json" "Malformed JSON";
    /// JSON body that does not match the schema.
    InvalidBody = 400 "invalid_body" "Request body does not match the schema";
    /// Invalid parameter in the path or query.
    InvalidParameter = 400 "invalid_parameter" "Invalid parameter";
    /// Invalid header.
    InvalidHeader = 400 "invalid_header" "Invalid header";
    /// Missing or invalid token.
    Unauthenticated = 401 "unauthenticated" "Authentication required";
    /// Missing role, tenant or permission.
    Forbidden = 403 "forbidden" "Permission denied";
    /// `tenant_id` of another tenant.
    OtherTenant = 403 "other_tenant" "Tenant mismatch";
    /// Not allowed by the radiologist's reading profile.
    NotPrivileged = 403 "not_privileged" "Not permitted by the reading profile";
    /// Resource in the path that does not exist.
    NotFound = 404 "not_found" "Not found";
    /// Resource in the body that does not exist.
    ReferenceNotFound = 404 "reference_not_found" "Referenced resource not found";
    /// PACS endpoint without a viewer launch URL.
    ViewerNotConfigured = 404 "viewer_not_configured" "No viewer configured";
    /// Method that the path does not have.
    MethodNotAllowed = 405 "method_not_allowed" "Method not allowed";
    /// Body that did not arrive in time.
    RequestTimeout = 408 "request_timeout" "Request timeout";
    /// Resource whose unique attributes are already in use.
    AlreadyExists = 409 "already_exists" "Already exists";
    /// Study Instance UID of another patient's study.
    OtherPatient = 409 "other_patient" "Study belongs to another patient";
    /// Command that the current state does not allow.
    TransitionRefused = 409 "transition_refused" "Not allowed in the current state";
    /// Position after the head of the log.
    BeyondLog = 409 "beyond_log" "The log ends before this position";
    /// Stream that a read model still cannot apply.
    StillParked = 409 "still_parked" "Stream is still parked";
    /// Radiologist with the maximum number of open cases.
    CaseLimitReached = 409 "case_limit_reached" "Case limit reached";
    /// Case that another radiologist holds.
    HeldByOther = 409 "held_by_other" "Case held by another radiologist";
    /// Stream that has reached its size limit.
    TooLarge = 409 "too_large" "History too large";
    /// Events that are archived, all of them or the first ones.
    Archived = 410 "archived" "Archived";
    /// `If-Match` with another version than the current one.
    VersionMismatch = 412 "version_mismatch" "Version mismatch";
    /// Body that is longer, or contains more, than its route accepts.
    BodyTooLarge = 413 "body_too_large" "Request body too large";
    /// Body whose content type is not JSON.
    UnsupportedMediaType = 415 "unsupported_media_type" "The body is not said to be JSON";
    /// Request for a host that is not this server, with `--dev`.
    Misdirected = 421 "misdirected" "The request names another host";
    /// Well-formed body with invalid values.
    Unacceptable = 422 "unacceptable" "Validation failed";
    /// Inactive catalog entry.
    Inactive = 422 "inactive" "Referenced resource is inactive";
    /// Idempotency key that was used with another body.
    IdempotencyKeyReused = 422 "idempotency_key_reused" "Idempotency key reused with a different request";
    /// Internal error.
    Internal = 500 "internal" "Internal server error";
    /// Method that HTTP does not define, or that no path has.
    MethodNotImplemented = 501 "method_not_implemented" "The server does not have this method";
    /// Unavailable server or dependency.
    Unavailable = 503 "unavailable" "Service unavailable";
    /// Patient key that is missing without a tombstone.
    KeysMissing = 503 "keys_missing" "A patient's key is missing";
    /// Too many concurrent commands on one resource.
    Contention = 503 "contention" "Too much contention";
    /// Append whose outcome is unknown.
    OutcomeUnknown = 503 "outcome_unknown" "Outcome unknown";
    /// Read models that lag behind.
    ProjectionLagging = 503 "projection_lagging" "Read models are behind";
}

/// Problem to be returned to the client.
#[derive(Debug)]
pub struct Problem {
    code: ProblemCode,
    detail: String,
    errors: Vec<FieldError>,
}

/// Error of one member of the body, or of one parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) into the body, or `?name` for a query parameter.
    pub pointer: String,
    /// Description of the error.
    pub detail: String,
}

impl Problem {
    /// Creates a problem. `detail` is for the client and contains neither PHI nor internals.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// Adds the error of one member or parameter.
    pub fn with_error(mut self, pointer: impl Into<String>, detail: impl fmt::Display) -> Self {
        self.errors.push(FieldError {
            pointer: pointer.into(),
            detail: detail.to_string(),
        });
        self
    }

    /// Prefixes the pointers in `members` with `pointer`, for a body that is nested in the request's body.
    pub fn prefix_pointers(mut self, pointer: &str, members: &[&str]) -> Self {
        for error in &mut self.errors {
            if members.contains(&error.pointer.as_str()) {
                error.pointer.insert_str(0, pointer);
            }
        }
        self
    }

    /// Creates the problem for several errors in the body.
    pub fn unacceptable(errors: Vec<FieldError>) -> Self {
        let detail = "one or more fields are invalid; see errors";
        Self {
            errors,
            ..Self::new(ProblemCode::Unacceptable, detail)
        }
    }

    /// Creates the problem for a resource that does not exist or belongs to another tenant.
    pub fn not_found() -> Self {
        Self::new(ProblemCode::NotFound, "no such resource in this tenant")
    }

    /// Creates the problem for one invalid parameter.
    pub fn parameter(name: &str, detail: impl fmt::Display) -> Self {
        Self::new(
            ProblemCode::InvalidParameter,
            format!("parameter {name} is invalid"),
        )
        .with_error(format!("?{name}"), detail)
    }

    /// Creates the problem for an invalid query string.
    pub fn query(detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(ProblemCode::InvalidParameter, detail.clone()).with_error("?", detail)
    }

    /// Creates the problem for an internal error, which is logged with its source chain and returned without it.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(
            event = "http.internal_error",
            error = error_chain(error),
            "request failed",
        );
        Self::already_logged()
    }

    /// Creates the problem for an internal error that is already logged.
    pub fn already_logged() -> Self {
        Self::new(
            ProblemCode::Internal,
            "an internal error occurred; quote request_id when reporting it",
        )
    }

    /// Returns the code.
    pub const fn code(&self) -> ProblemCode {
        self.code
    }
}

/// Members of a problem document; the request middleware sets `request_id`.
#[derive(Debug, Clone, Serialize)]
pub struct ProblemDocument {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    code: &'static str,
    request_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
}

impl ProblemDocument {
    /// Renders the response to the request with this id. The router's `Allow` header is kept.
    pub fn respond(mut self, request_id: &str, headers: &HeaderMap) -> Response {
        request_id.clone_into(&mut self.request_id);
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        if let Some(allowed) = headers.get(header::ALLOW) {
            response
                .headers_mut()
                .insert(header::ALLOW, allowed.clone());
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Passes the document as an extension to the request middleware, which knows the request id and writes the body.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = ProblemDocument {
            kind: format!("/problems/{}", self.code.as_str()),
            title: self.code.title(),
            status: self.code.status(),
            detail: self.detail,
            code: self.code.as_str(),
            request_id: String::new(),
            errors: self.errors,
        };
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(document);
        response
    }
}
