//! `PACSEndpoint`: an archive that sends studies, and the viewer that shows them. The id is derived from the code, so
//! each code is unique.
//!
//! Credentials are a secret: they are stored sealed outside the log, and events contain only the secret id.

use std::convert::Infallible;

use serde::{Deserialize, Serialize};

use crate::auth_kind::AuthKind;
use crate::catalog::{CatalogEntry, EntryNames};
use crate::change::Change;
use crate::codes::PacsEndpointCode;
use crate::dicom::{AeTitle, Uid};
use crate::ids::{PacsEndpointId, SecretId, TenantId};
use crate::text::Text;
use crate::url::{HttpUrl, UrlError};
use crate::wire_enum;

/// Current state of an endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PacsEndpoint {
    /// Immutable: the id is derived from the code.
    pub code: PacsEndpointCode,
    /// Display name.
    pub name: Text,
    /// Free-text description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text>,
    /// DICOM Application Entity Title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ae_title: Option<AeTitle>,
    /// Host name or IP address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// TCP port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<Port>,
    /// Protocol.
    pub protocol: Protocol,
    /// Base URL of the web services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<HttpUrl>,
    /// Authentication scheme, without credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_config: Option<AuthConfig>,
    /// URL template of the viewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub viewer_launch_url: Option<ViewerLaunchUrl>,
    /// Whether studies from this endpoint complete their order.
    pub completes_order: bool,
    /// Whether the endpoint sends studies.
    pub is_active: bool,
    /// Id of the secret for `auth_config`; never part of the resource.
    #[serde(skip)]
    pub secret_id: Option<SecretId>,
}

/// Protocol of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Protocol {
    /// DICOM message exchange (PS3.7): C-FIND, C-MOVE, C-STORE.
    #[serde(rename = "DICOM")]
    Dicom,
    /// DICOMweb (PS3.18).
    #[serde(rename = "DICOMWEB")]
    Dicomweb,
    /// Retrieval by WADO-RS only (PS3.18, section 10.4).
    #[serde(rename = "WADO_RS")]
    WadoRs,
}

/// Authentication of an endpoint, without credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthConfig {
    /// Authentication scheme.
    pub kind: AuthKind,
}

wire_enum! {
    Protocol: Dicom = "DICOM", Dicomweb = "DICOMWEB", WadoRs = "WADO_RS";
}

/// A host name, an IPv4 address or an IPv6 address: 1 to 253 letters, digits, `.`, `-`, `_`, `:`, `[` and `]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Host(String);

/// The text is not a host name or IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a host name or address")]
pub struct InvalidHost;

impl Host {
    /// Parses a host name or IP address.
    ///
    /// # Errors
    ///
    /// [`InvalidHost`] if the text is neither.
    pub fn parse(text: &str) -> Result<Self, InvalidHost> {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
        if !(1..=253).contains(&text.len()) || !text.bytes().all(legal) {
            return Err(InvalidHost);
        }
        Ok(Self(text.to_owned()))
    }
}

/// A TCP port: 1 to 65535.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Port(u16);

/// The number is not a valid port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 to 65535")]
pub struct InvalidPort;

impl Port {
    /// Parses a TCP port, 1 to 65535.
    ///
    /// # Errors
    ///
    /// [`InvalidPort`] for any other number.
    pub fn parse(number: i64) -> Result<Self, InvalidPort> {
        match u16::try_from(number) {
            Ok(number @ 1..) => Ok(Self(number)),
            Ok(0) | Err(_) => Err(InvalidPort),
        }
    }
}

/// URL template that opens a study in the viewer: contains `{study_instance_uid}`, and `{token}` if the viewer takes
/// the token in the URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ViewerLaunchUrl(HttpUrl);

/// Reasons why a text is not a launch URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ViewerLaunchUrlError {
    /// The text is not a URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The study placeholder is missing: the URL would open the same page for every study.
    #[error("must contain {{study_instance_uid}}")]
    MissingStudyPlaceholder,
    /// A placeholder that is never filled.
    #[error("may contain no placeholders other than {{study_instance_uid}} and {{token}}")]
    UnknownPlaceholder,
}

const STUDY: &str = "{study_instance_uid}";
const TOKEN: &str = "{token}";

impl ViewerLaunchUrl {
    /// Parses a URL template with the placeholder `{study_instance_uid}` and optionally `{token}`.
    ///
    /// # Errors
    ///
    /// [`ViewerLaunchUrlError`] if the study placeholder is missing, another placeholder is present, or the text is not
    /// a URL.
    pub fn parse(text: &str) -> Result<Self, ViewerLaunchUrlError> {
        let url = HttpUrl::parse(text)?;
        if !text.contains(STUDY) {
            return Err(ViewerLaunchUrlError::MissingStudyPlaceholder);
        }
        if text
            .replace(STUDY, "")
            .replace(TOKEN, "")
            .contains(['{', '}'])
        {
            return Err(ViewerLaunchUrlError::UnknownPlaceholder);
        }
        Ok(Self(url))
    }

    /// Returns the URL of a study. A token needs no escaping in a URL (RFC 7515: base64url and dots).
    pub fn render(&self, study: &Uid, token: &str) -> String {
        let text = self.0.as_str().replace(STUDY, study.as_str());
        text.replace(TOKEN, token)
    }
}

/// Members to change. An omitted member is unchanged; `null` removes an optional member. The code is immutable.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// New name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// New description.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub description: Change<Text>,
    /// New Application Entity Title.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub ae_title: Change<AeTitle>,
    /// New host.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub host: Change<Host>,
    /// New port.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub port: Change<Port>,
    /// New protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
    /// New base URL.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub base_url: Change<HttpUrl>,
    /// New authentication scheme; replaces the old secret by `secret_id`.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub auth_config: Change<AuthConfig>,
    /// Id of the secret for the new `auth_config`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_id: Option<SecretId>,
    /// New launch URL.
    #[serde(default, skip_serializing_if = "Change::is_keep")]
    pub viewer_launch_url: Change<ViewerLaunchUrl>,
    /// Whether studies from this endpoint complete their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completes_order: Option<bool>,
    /// Whether the entry is active.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

/// `PACSEndpoint.Created`: the endpoint, and the id of its secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recorded {
    #[serde(flatten)]
    endpoint: PacsEndpoint,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret_id: Option<SecretId>,
}

impl From<PacsEndpoint> for Recorded {
    fn from(endpoint: PacsEndpoint) -> Self {
        Self {
            secret_id: endpoint.secret_id,
            endpoint,
        }
    }
}

impl From<Recorded> for PacsEndpoint {
    fn from(recorded: Recorded) -> Self {
        Self {
            secret_id: recorded.secret_id,
            ..recorded.endpoint
        }
    }
}

impl CatalogEntry for PacsEndpoint {
    const NAMES: EntryNames = EntryNames {
        stream_type: "PACSEndpoint",
        created: ("PACSEndpoint.Created", 1),
        updated: ("PACSEndpoint.Updated", 2),
        id: "pacs_endpoint_id",
        already_exists: "a PACS endpoint with this code already exists",
        not_found: "PACS endpoint not found",
    };

    type Id = PacsEndpointId;
    type Recorded = Recorded;
    type Changes = Changes;
    type Update = Changes;
    type Invalid = Infallible;

    fn id(&self, tenant: TenantId) -> PacsEndpointId {
        PacsEndpointId::derive(tenant, &self.code)
    }

    fn merge(&self, changes: Changes) -> Result<Changes, Infallible> {
        Ok(changes)
    }

    fn apply(self, changes: Changes) -> Self {
        let secret_id = match changes.auth_config {
            Change::Set(_) => changes.secret_id,
            Change::Clear => None,
            Change::Keep => self.secret_id,
        };
        Self {
            code: self.code,
            name: changes.name.unwrap_or(self.name),
            description: changes.description.apply(self.description),
            ae_title: changes.ae_title.apply(self.ae_title),
            host: changes.host.apply(self.host),
            port: changes.port.apply(self.port),
            protocol: changes.protocol.unwrap_or(self.protocol),
            base_url: changes.base_url.apply(self.base_url),
            auth_config: changes.auth_config.apply(self.auth_config),
            viewer_launch_url: changes.viewer_launch_url.apply(self.viewer_launch_url),
            completes_order: changes.completes_order.unwrap_or(self.completes_order),
            is_active: changes.is_active.unwrap_or(self.is_active),
            secret_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::DomainEvent as _;
    use crate::catalog::tests::{assert_is_entry, created, updated};
    use crate::given_when_then::given;
    use uuid::Uuid;

    fn secret() -> SecretId {
        Uuid::from_u128(5).into()
    }

    fn main_pacs() -> PacsEndpoint {
        PacsEndpoint {
            code: PacsEndpointCode::parse("main_pacs").unwrap(),
            name: Text::parse("Main archive").unwrap(),
            description: None,
            ae_title: AeTitle::parse("MAIN").ok(),
            host: Host::parse("pacs.example").ok(),
            port: Port::parse(104).ok(),
            protocol: Protocol::Dicomweb,
            base_url: HttpUrl::parse("https://pacs.example/dicom-web").ok(),
            auth_config: Some(AuthConfig {
                kind: AuthKind::Basic,
            }),
            viewer_launch_url: ViewerLaunchUrl::parse("https://viewer/{study_instance_uid}").ok(),
            completes_order: true,
            is_active: true,
            secret_id: Some(secret()),
        }
    }

    #[test]
    fn is_an_entry_of_the_catalog() {
        let retired = Changes {
            is_active: Some(false),
            ..Changes::default()
        };
        assert_is_entry(&main_pacs(), &retired, retired.clone());
    }

    #[test]
    fn the_secret_is_named_in_the_event_and_nowhere_in_the_resource() {
        let state = given::<PacsEndpoint>([created(&main_pacs())]).state();
        assert_eq!(state.secret_id, Some(secret()));
        let shown = serde_json::to_value(&state).unwrap();
        assert_eq!(shown["auth_config"], serde_json::json!({"kind": "basic"}));
        assert!(!shown.to_string().contains(&secret().to_string()));
        let payload = created(&main_pacs()).payload().unwrap();
        assert!(payload.contains(&secret().to_string()), "{payload}");
    }

    #[test]
    fn another_way_to_log_in_takes_the_old_secrets_place() {
        let open = Changes {
            auth_config: Change::Set(AuthConfig {
                kind: AuthKind::None,
            }),
            ..Changes::default()
        };
        let state =
            given::<PacsEndpoint>([created(&main_pacs()), updated(&main_pacs(), open)]).state();
        assert_eq!(state.secret_id, None);
        let renamed = Changes {
            name: Text::parse("Archive").ok(),
            ..Changes::default()
        };
        let state =
            given::<PacsEndpoint>([created(&main_pacs()), updated(&main_pacs(), renamed)]).state();
        assert_eq!(state.secret_id, Some(secret()), "nothing was said of it");
    }

    #[test]
    fn ports_and_hosts_are_those_of_a_network() {
        for bad in [i64::MIN, -1, 0, 65_536, i64::MAX] {
            assert_eq!(Port::parse(bad), Err(InvalidPort), "{bad}");
        }
        assert!(Port::parse(65_535).is_ok());
        for bad in ["", "a b", "pacs/x", "user@pacs"] {
            assert_eq!(Host::parse(bad), Err(InvalidHost), "{bad}");
        }
        assert!(Host::parse("[2001:db8::1]").is_ok());
    }

    #[test]
    fn a_launch_url_has_a_place_for_the_study_and_no_place_that_nobody_fills() {
        let url = ViewerLaunchUrl::parse("https://v/{study_instance_uid}?t={token}").unwrap();
        let uid = Uid::parse("1.2.3").unwrap();
        assert_eq!(url.render(&uid, "a.b.c"), "https://v/1.2.3?t=a.b.c");
        let cases = [
            ("https://v/", ViewerLaunchUrlError::MissingStudyPlaceholder),
            (
                "https://v/{study_instance_uid}/{patient}",
                ViewerLaunchUrlError::UnknownPlaceholder,
            ),
            (
                "https://v/{study_instance_uid}/{",
                ViewerLaunchUrlError::UnknownPlaceholder,
            ),
            (
                "v/{study_instance_uid}",
                ViewerLaunchUrlError::Url(UrlError::Malformed),
            ),
        ];
        for (bad, why) in cases {
            assert_eq!(ViewerLaunchUrl::parse(bad), Err(why), "{bad}");
        }
    }
}
