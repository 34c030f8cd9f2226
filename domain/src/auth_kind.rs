//! Authentication schemes for other systems. Credentials are secrets and are stored elsewhere.

use serde::{Deserialize, Serialize};

use crate::wire_enum;

/// Authentication scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// No authentication.
    None,
    /// User name and password (RFC 7617).
    Basic,
    /// A bearer token (RFC 6750).
    Bearer,
    /// A custom header of the endpoint.
    Header,
}

wire_enum! {
    AuthKind: None = "none", Basic = "basic", Bearer = "bearer", Header = "header";
}
