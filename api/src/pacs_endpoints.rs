//! Handlers of `/pacs/endpoints`.

use axum::extract::State;
use axum::response::Response;
use roentgen_domain::Change;
use roentgen_domain::codes::PacsEndpointCode;
use roentgen_domain::dicom::AeTitle;
use roentgen_domain::ids::{SecretId, TenantId};
use roentgen_domain::pacs_endpoint::{
    AuthConfig, Changes, Host, PacsEndpoint, Port, Protocol, ViewerLaunchUrl,
};
use roentgen_domain::url::HttpUrl;
use roentgen_projections::pacs_endpoints;
use roentgen_store::secrets::SecretBytes;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::app::App;
use crate::auth_config::AuthConfigBody;
use crate::command_request::{CommandRequest, TenantScopedBody};
use crate::openapi::{PacsEndpointDocument, values};
use crate::problem::Problem;
use crate::read_request::{PathId, ReadRequest};
use crate::validation::{self, BodyValidator, JsonObject};

const COLLECTION: &str = "/pacs/endpoints";

/// A new PACS endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPacsEndpoint {
    /// 1 to 64 characters from A-Z, 0-9, _, - and .; unique per tenant.
    #[schema(required, value_type = values::CatalogCode, example = "MAIN_PACS")]
    code: Option<String>,
    /// Display name.
    #[schema(required, value_type = values::Name, example = "Main archive")]
    name: Option<String>,
    /// Free-text description.
    #[schema(value_type = Option<values::Note>)]
    description: Option<String>,
    /// DICOM Application Entity Title, 1 to 16 characters.
    #[schema(value_type = Option<values::OptionalAeTitle>)]
    ae_title: Option<String>,
    /// Host name or address.
    #[schema(value_type = Option<values::OptionalHost>)]
    host: Option<String>,
    /// TCP port, 1 to 65535.
    #[serde(default, deserialize_with = "validation::optional_integer")]
    #[schema(value_type = Option<values::Port>)]
    port: Option<i64>,
    /// DICOM, DICOMWEB or WADO_RS (case-insensitive).
    #[schema(required, value_type = values::PacsProtocol, example = "DICOMWEB")]
    protocol: Option<String>,
    /// Base URL of the web services; HTTP or HTTPS URL without user information.
    #[schema(value_type = Option<values::OptionalHttpUrl>)]
    base_url: Option<String>,
    /// Authentication settings.
    #[schema(value_type = Option<AuthConfigBody>)]
    auth_config: Option<JsonObject<AuthConfigBody>>,
    /// Viewer URL template with `{study_instance_uid}` and optionally `{token}`.
    #[schema(value_type = Option<values::OptionalViewerUrl>, example = "https://viewer.example/?study={study_instance_uid}&token={token}")]
    viewer_launch_url: Option<String>,
    /// Whether studies from this endpoint complete their order; default true.
    completes_order: Option<bool>,
    /// Whether studies may be synced from this endpoint; default true.
    is_active: Option<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

/// Changes to a PACS endpoint. Omitted members are kept; `null` removes an optional member. The code never changes.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PacsEndpointChanges {
    /// Display name.
    #[serde(default)]
    #[schema(value_type = values::Name, required = false)]
    name: Change<String>,
    /// Free-text description.
    #[serde(default)]
    #[schema(value_type = Option<values::Note>)]
    description: Change<String>,
    /// DICOM Application Entity Title, 1 to 16 characters.
    #[serde(default)]
    #[schema(value_type = Option<values::OptionalAeTitle>)]
    ae_title: Change<String>,
    /// Host name or address.
    #[serde(default)]
    #[schema(value_type = Option<values::OptionalHost>)]
    host: Change<String>,
    /// TCP port, 1 to 65535.
    #[serde(default, deserialize_with = "validation::integer_change")]
    #[schema(value_type = Option<values::Port>)]
    port: Change<i64>,
    /// DICOM, DICOMWEB or WADO_RS (case-insensitive).
    #[serde(default)]
    #[schema(value_type = values::PacsProtocol, required = false)]
    protocol: Change<String>,
    /// Base URL of the web services; HTTP or HTTPS URL without user information.
    #[serde(default)]
    #[schema(value_type = Option<values::OptionalHttpUrl>)]
    base_url: Change<String>,
    /// Authentication settings; replaces the stored value.
    #[serde(default)]
    #[schema(value_type = Option<AuthConfigBody>)]
    auth_config: Change<JsonObject<AuthConfigBody>>,
    /// Viewer URL template with `{study_instance_uid}` and optionally `{token}`.
    #[serde(default)]
    #[schema(value_type = Option<values::OptionalViewerUrl>)]
    viewer_launch_url: Change<String>,
    /// Whether studies from this endpoint complete their order.
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    completes_order: Change<bool>,
    /// Whether the entry is active.
    #[serde(default)]
    #[schema(value_type = bool, required = false)]
    is_active: Change<bool>,
    /// Must match the caller's tenant.
    #[serde(default, deserialize_with = "validation::optional_id")]
    #[schema(value_type = Option<values::OptionalId>)]
    tenant_id: Option<Uuid>,
}

impl TenantScopedBody for NewPacsEndpoint {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

impl TenantScopedBody for PacsEndpointChanges {
    fn tenant_id(&self) -> Option<Uuid> {
        self.tenant_id
    }
}

/// Changes, and the secret that belongs to them.
type ChangesWithSecret = (Changes, Option<SecretBytes>);

impl NewPacsEndpoint {
    fn parse(self) -> Result<(PacsEndpoint, Option<SecretBytes>), Problem> {
        let mut fields = BodyValidator::default();
        let code = fields.required("/code", self.code);
        let code = fields.parse("/code", code, |text| PacsEndpointCode::parse(&text));
        fields.required("/name", self.name.as_ref());
        fields.required("/protocol", self.protocol.as_ref());
        let changes = PacsEndpointChanges {
            name: self.name.into(),
            description: self.description.into(),
            ae_title: self.ae_title.into(),
            host: self.host.into(),
            port: self.port.into(),
            protocol: self.protocol.into(),
            base_url: self.base_url.into(),
            auth_config: self.auth_config.into(),
            viewer_launch_url: self.viewer_launch_url.into(),
            completes_order: self.completes_order.into(),
            is_active: self.is_active.into(),
            tenant_id: None,
        };
        let (told, secret) = changes.check(&mut fields);
        let needed = code.zip(told.name).zip(told.protocol);
        let endpoint = needed.map(|((code, name), protocol)| PacsEndpoint {
            code,
            name,
            protocol,
            description: told.description.value(),
            ae_title: told.ae_title.value(),
            host: told.host.value(),
            port: told.port.value(),
            base_url: told.base_url.value(),
            auth_config: told.auth_config.value(),
            viewer_launch_url: told.viewer_launch_url.value(),
            completes_order: told.completes_order.unwrap_or(true),
            is_active: told.is_active.unwrap_or(true),
            secret_id: None,
        });
        fields.finish(endpoint.map(|endpoint| (endpoint, secret)))
    }
}

impl PacsEndpointChanges {
    fn parse(self) -> Result<ChangesWithSecret, Problem> {
        let mut fields = BodyValidator::default();
        let told = self.check(&mut fields);
        fields.finish(Some(told))
    }

    fn check(self, fields: &mut BodyValidator) -> ChangesWithSecret {
        let name = fields.kept("/name", self.name);
        let spoken = fields.kept("/protocol", self.protocol);
        let launch_url = self.viewer_launch_url;
        let auth = match self.auth_config {
            Change::Keep => Change::Keep,
            Change::Clear => Change::Clear,
            Change::Set(body) => fields.auth_config("/auth_config", Some(body)).into(),
        };
        let changes = Changes {
            name: fields.name("/name", name),
            description: fields.text_change("/description", self.description),
            ae_title: fields.change_from_text("/ae_title", self.ae_title, AeTitle::parse),
            host: fields.change_from_text("/host", self.host, Host::parse),
            port: fields.change("/port", self.port, Port::parse),
            protocol: fields.enum_value("/protocol", spoken, protocol, Protocol::NAMES),
            base_url: fields.change_from_text("/base_url", self.base_url, HttpUrl::parse),
            auth_config: auth.as_ref().map(|auth| AuthConfig { kind: auth.kind }),
            secret_id: None,
            viewer_launch_url: fields.change_from_text(
                "/viewer_launch_url",
                launch_url,
                ViewerLaunchUrl::parse,
            ),
            completes_order: fields.kept("/completes_order", self.completes_order),
            is_active: fields.kept("/is_active", self.is_active),
        };
        (changes, auth.value().and_then(|auth| auth.secret))
    }
}

/// Parses a protocol; `WADO-RS` is accepted for `WADO_RS`.
fn protocol(text: &str) -> Option<Protocol> {
    Protocol::parse(&text.replace('-', "_"))
}

/// Stores a secret before any event references it.
async fn store_secret(
    app: &App,
    tenant: TenantId,
    secret: Option<SecretBytes>,
) -> Result<Option<SecretId>, Problem> {
    match secret {
        Some(secret) => Ok(Some(app.store.secrets.put(tenant, &secret).await?)),
        None => Ok(None),
    }
}

/// Adds a PACS endpoint to the catalog. Credentials in `auth_config` are write-only.
#[utoipa::path(post, path = "/pacs/endpoints", request_body = NewPacsEndpoint,
    responses((status = 201, body = PacsEndpointDocument)))]
pub(crate) async fn create(
    State(app): State<App>,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let (endpoint, secret) = call.body::<NewPacsEndpoint>()?.parse()?;
    let secret_id = store_secret(&app, call.tenant, secret).await?;
    let endpoint = PacsEndpoint {
        secret_id,
        ..endpoint
    };
    call.create(&app, COLLECTION, endpoint).await
}

/// Lists PACS endpoints, newest first.
#[utoipa::path(get, path = "/pacs/endpoints",
    params(("is_active" = Option<bool>, Query), crate::openapi::PageParameters),
    responses((status = 200, body = [PacsEndpointDocument])))]
pub(crate) async fn list(State(app): State<App>, read: ReadRequest) -> Result<Response, Problem> {
    let mut query = read.query()?;
    let page = read.take_page(&mut query, COLLECTION)?;
    let is_active = query.take_bool("is_active")?;
    query.finish()?;
    let page = pacs_endpoints::page(read.tenant, is_active, page.after, page.limit);
    read.list(&app, page).await
}

/// Returns a PACS endpoint.
#[utoipa::path(get, path = "/pacs/endpoints/{id}",
    params(("id" = Uuid, Path), crate::openapi::AsOfParameter),
    responses((status = 200, body = PacsEndpointDocument)))]
pub(crate) async fn one(
    State(app): State<App>,
    PathId(id): PathId,
    read: ReadRequest,
) -> Result<Response, Problem> {
    read.get::<PacsEndpoint>(&app, &pacs_endpoints::MODEL, id.into())
        .await
}

/// Updates a PACS endpoint.
#[utoipa::path(patch, path = "/pacs/endpoints/{id}",
    params(("id" = Uuid, Path)), request_body = PacsEndpointChanges,
    responses((status = 200, body = PacsEndpointDocument)))]
pub(crate) async fn update(
    State(app): State<App>,
    PathId(id): PathId,
    call: CommandRequest,
) -> Result<Response, Problem> {
    let (changes, secret) = call.body::<PacsEndpointChanges>()?.parse()?;
    let secret_id = store_secret(&app, call.tenant, secret).await?;
    let update = Changes {
        secret_id,
        ..changes
    };
    call.update::<PacsEndpoint>(&app, id.into(), update).await
}
