//! How a program logs in at another. What it takes is a secret, and lies elsewhere.

use serde::{Deserialize, Serialize};

use crate::wire_enum;

/// Authentication settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthKind {
    /// Not at all.
    None,
    /// User and password (RFC 7617).
    Basic,
    /// A bearer token (RFC 6750).
    Bearer,
    /// A header of the endpoint's own.
    Header,
}

wire_enum! {
    AuthKind: None = "none", Basic = "basic", Bearer = "bearer", Header = "header";
}
