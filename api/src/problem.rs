//! Problem documents (RFC 9457): the one place where errors become answers.
//!
//! Every code has a page in `docs/problems/`, served at its `type` URI. What the log reads of a failure is logged once,
//! here, with its source chain; what the client reads never holds it.

mod mapping;

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use roentgen_store::error::error_chain;
use serde::Serialize;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $status:literal $code:literal $title:literal;)+) => {
        /// What kind of problem it is. Frozen: clients match on it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemCode {
            $($(#[$doc])* $variant,)+
        }

        impl ProblemCode {
            /// Every code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The member `code`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)+ }
            }

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)+ }
            }

            /// The member `title`.
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)+ }
            }

            /// The code's page, as Markdown.
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
    /// Not JSON.
    MalformedJson = 400 "malformed_json" "Malformed JSON";
    /// JSON of another shape.
    InvalidBody = 400 "invalid_body" "Request body does not match the schema";
    /// A parameter in path or query.
    InvalidParameter = 400 "invalid_parameter" "Invalid parameter";
    /// A header.
    InvalidHeader = 400 "invalid_header" "Invalid header";
    /// No token, or a bad one.
    Unauthenticated = 401 "unauthenticated" "Authentication required";
    /// Role, tenant or privilege lacking.
    Forbidden = 403 "forbidden" "Permission denied";
    /// `tenant_id` is another's.
    OtherTenant = 403 "other_tenant" "Tenant mismatch";
    /// The radiologist's reading profile.
    NotPrivileged = 403 "not_privileged" "Not permitted by the reading profile";
    /// The thing in the path.
    NotFound = 404 "not_found" "Not found";
    /// A thing in the body.
    ReferenceNotFound = 404 "reference_not_found" "Referenced resource not found";
    /// The endpoint has no launch URL.
    ViewerNotConfigured = 404 "viewer_not_configured" "No viewer configured";
    /// No such method on this path.
    MethodNotAllowed = 405 "method_not_allowed" "Method not allowed";
    /// The body did not arrive in time.
    RequestTimeout = 408 "request_timeout" "Request timeout";
    /// Unique by meaning, and taken.
    AlreadyExists = 409 "already_exists" "Already exists";
    /// The UID is another patient's study.
    OtherPatient = 409 "other_patient" "Study belongs to another patient";
    /// The state does not allow it.
    TransitionRefused = 409 "transition_refused" "Not allowed in the current state";
    /// A position that the log does not have.
    BeyondLog = 409 "beyond_log" "The log ends before this position";
    /// A read model cannot fold the stream.
    StillParked = 409 "still_parked" "Stream is still parked";
    /// The radiologist's open cases.
    CaseLimitReached = 409 "case_limit_reached" "Case limit reached";
    /// The case is another radiologist's.
    HeldByOther = 409 "held_by_other" "Case held by another radiologist";
    /// The stream's bound.
    TooLarge = 409 "too_large" "History too large";
    /// In an archive, or begins there.
    Archived = 410 "archived" "Archived";
    /// `If-Match`.
    VersionMismatch = 412 "version_mismatch" "Version mismatch";
    /// A body that is longer, or holds more, than its route takes.
    BodyTooLarge = 413 "body_too_large" "Request body too large";
    /// A body that is not said to be JSON.
    UnsupportedMediaType = 415 "unsupported_media_type" "The body is not said to be JSON";
    /// A host that is not this server, in `--dev`.
    Misdirected = 421 "misdirected" "The request names another host";
    /// Well-formed and wrong.
    Unacceptable = 422 "unacceptable" "Validation failed";
    /// A retired catalog entry.
    Inactive = 422 "inactive" "Referenced resource is inactive";
    /// The same key with another body.
    IdempotencyKeyReused = 422 "idempotency_key_reused" "Idempotency key reused with a different request";
    /// Our fault.
    Internal = 500 "internal" "Internal server error";
    /// A method that is none of HTTP's, or that no path has.
    MethodNotImplemented = 501 "method_not_implemented" "The server does not have this method";
    /// A dependency is down.
    Unavailable = 503 "unavailable" "Service unavailable";
    /// A patient's key is neither there nor destroyed on purpose.
    KeysMissing = 503 "keys_missing" "A patient's key is missing";
    /// Too many commands on one thing.
    Contention = 503 "contention" "Too much contention";
    /// Whether it was written is not known.
    OutcomeUnknown = 503 "outcome_unknown" "Outcome unknown";
    /// The read models are behind.
    ProjectionLagging = 503 "projection_lagging" "Read models are behind";
}

/// A problem on its way to the client.
#[derive(Debug)]
pub struct Problem {
    code: ProblemCode,
    detail: String,
    errors: Vec<FieldError>,
}

/// What is wrong with one member of the body, or one parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// A JSON pointer (RFC 6901) into the body, or `?name` for a query parameter.
    pub pointer: String,
    /// What is wrong there.
    pub detail: String,
}

impl Problem {
    /// A problem; `detail` is for the client and holds no PHI and nothing of the inside.
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
        }
    }

    /// With what is wrong where.
    pub fn with_error(mut self, pointer: impl Into<String>, detail: impl fmt::Display) -> Self {
        self.errors.push(FieldError {
            pointer: pointer.into(),
            detail: detail.to_string(),
        });
        self
    }

    /// The same, where the body in question stands at `pointer` of the one that came.
    pub fn prefix_pointers(mut self, pointer: &str, members: &[&str]) -> Self {
        for error in &mut self.errors {
            if members.contains(&error.pointer.as_str()) {
                error.pointer.insert_str(0, pointer);
            }
        }
        self
    }

    /// Several things wrong with the body.
    pub fn unacceptable(errors: Vec<FieldError>) -> Self {
        let detail = "one or more fields are invalid; see errors";
        Self {
            errors,
            ..Self::new(ProblemCode::Unacceptable, detail)
        }
    }

    /// There is no such thing here, or it is another tenant's.
    pub fn not_found() -> Self {
        Self::new(ProblemCode::NotFound, "no such resource in this tenant")
    }

    /// A parameter of the query.
    pub fn parameter(name: &str, detail: impl fmt::Display) -> Self {
        Self::new(
            ProblemCode::InvalidParameter,
            format!("parameter {name} is invalid"),
        )
        .with_error(format!("?{name}"), detail)
    }

    /// The query as a whole.
    pub fn query(detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(ProblemCode::InvalidParameter, detail.clone()).with_error("?", detail)
    }

    /// Our own fault: logged with its sources, told without them.
    pub fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(
            event = "http.internal_error",
            error = error_chain(error),
            "request failed",
        );
        Self::already_logged()
    }

    /// Our own fault, where it was found and logged already.
    pub fn already_logged() -> Self {
        Self::new(
            ProblemCode::Internal,
            "an internal error occurred; quote request_id when reporting it",
        )
    }

    /// What kind it is.
    pub const fn code(&self) -> ProblemCode {
        self.code
    }
}

/// The members of a problem document; `request_id` is put in where the answer leaves.
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
    /// As an answer to the request with this id. What the router said of the methods allowed is kept.
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

/// The document travels as an extension to the outermost layer, which knows the request id and writes the body.
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
