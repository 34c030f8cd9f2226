//! NATS connection of one session. After a loss, the next session opens a new connection, so that no message that was
//! sent for an earlier state of the stream arrives late.

use std::time::Duration;

use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::{ConnectError, ConnectOptions, Event};
use secrecy::ExposeSecret as _;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use crate::settings::{Authentication, Login, Settings};

/// Maximum number of messages in flight.
pub(crate) const MAX_IN_FLIGHT: usize = 512;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Timeout of a server response or acknowledgement, 5 s.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Interval of pings on an idle connection, 10 s.
const PING_INTERVAL: Duration = Duration::from_secs(10);
/// Name of the connection in NATS monitoring.
const NAME: &str = "roentgen relay";
/// Prefix of the reply subjects. It is separate, so that permissions can exclude consumers from it.
const INBOX: &str = "_INBOX.roentgen";

/// Open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) jetstream: Context,
    /// Maximum message size that the server accepts, headers included, in bytes.
    pub(crate) max_payload: usize,
    lost: CancellationToken,
}

/// Reason why the connection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectFailure {
    #[error("NATS servers unreachable")]
    Unreachable(#[from] ConnectError),
    #[error("cannot read NATS credentials")]
    Credentials(#[source] std::io::Error),
}

/// Connects to one of the servers.
pub(crate) async fn open(settings: &Settings) -> Result<Connection, ConnectFailure> {
    let lost = CancellationToken::new();
    let options = options(settings, &lost)?;
    let client = options
        .connect(settings.servers.addresses.as_slice())
        .await?;
    let max_payload = client.server_info().max_payload;
    let jetstream = ContextBuilder::new()
        .timeout(REQUEST_TIMEOUT)
        .ack_timeout(REQUEST_TIMEOUT)
        .max_ack_inflight(MAX_IN_FLIGHT)
        .build(client);
    Ok(Connection {
        jetstream,
        max_payload,
        lost,
    })
}

fn options(
    settings: &Settings,
    lost: &CancellationToken,
) -> Result<ConnectOptions, ConnectFailure> {
    let mut options = ConnectOptions::new()
        .name(NAME)
        .custom_inbox_prefix(INBOX)
        .connection_timeout(CONNECT_TIMEOUT)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .ping_interval(PING_INTERVAL)
        .max_reconnects(1);
    let lost = lost.clone();
    options = options.event_callback(move |event| {
        let lost = lost.clone();
        async move { handle_client_event(&event, &lost) }
    });
    options = match &settings.authentication {
        Authentication::FromUrl => match settings.servers.login.clone() {
            None => options,
            Some(Login::Token(token)) => options.token(token),
            Some(Login::Password { user, password }) => options.user_and_password(user, password),
        },
        Authentication::NKey(seed) => options.nkey(seed.expose_secret().to_owned()),
        Authentication::Credentials(text) => options
            .credentials(text.expose_secret())
            .map_err(ConnectFailure::Credentials)?,
    };
    if let Some(path) = &settings.tls.root_certificates {
        options = options
            .add_root_certificates(path.clone())
            .require_tls(true);
    }
    if let Some((certificate, key)) = settings.tls.client_certificate.clone() {
        options = options.add_client_certificate(certificate, key);
    }
    Ok(options)
}

fn handle_client_event(event: &Event, lost: &CancellationToken) {
    match event {
        Event::Connected | Event::Draining | Event::SlowConsumer(_) => {}
        Event::Disconnected | Event::Closed | Event::LameDuckMode => lost.cancel(),
        Event::ServerError(error) => {
            tracing::warn!(event = "relay.nats_error", %error, "NATS server error")
        }
        Event::ClientError(error) => {
            tracing::debug!(event = "relay.nats_client", %error, "NATS client event")
        }
    }
}

impl Connection {
    /// Waits until the connection is lost, closed or about to be closed by the server.
    pub(crate) fn lost(&self) -> WaitForCancellationFuture<'_> {
        self.lost.cancelled()
    }
}
