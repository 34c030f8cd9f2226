//! JetStream stream: creation, configuration and inspection.

use std::time::Duration;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{
    Context, CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind,
};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Info, RawMessageErrorKind, RetentionPolicy, StorageType,
};
use roentgen_store::engine::EventLog;
use roentgen_store::relay_checkpoint::RelayCheckpoint;

use crate::STREAM;
use crate::cloud_event::{SUBJECTS, parse_attributes};
use crate::halt_reason::HaltReason;
use crate::resume::{LastMessage, StreamSnapshot};
use crate::session_end::SessionEnd;
use crate::settings::StreamSettings;

const DESCRIPTION: &str = "Roentgen imaging events in log order";
/// Error code with the meaning of HTTP 503: temporarily unavailable.
const SERVICE_UNAVAILABLE: usize = 503;

/// Returns the stream; creates it, or updates its configuration, if required. A deleted stream is not recreated.
pub(crate) async fn ensure_stream(
    jetstream: &Context,
    settings: &StreamSettings,
    left: Option<&RelayCheckpoint>,
) -> Result<Info, SessionEnd> {
    let Some(info) = find_stream(jetstream).await? else {
        return match left {
            None => create_stream(jetstream, settings).await,
            Some(left) => {
                let position = left.position;
                Err(HaltReason::StreamGone { position }.into())
            }
        };
    };
    let wanted = reconcile_config(info.config.clone(), settings)?;
    if wanted == info.config {
        return Ok(info);
    }
    tracing::info!(
        event = "relay.stream_updated",
        stream = STREAM,
        "stream configuration updated"
    );
    let updated = jetstream.update_stream(wanted).await;
    updated.map_err(classify_create_error)
}

/// Returns the stream, if it exists.
pub(crate) async fn find_stream(jetstream: &Context) -> Result<Option<Info>, SessionEnd> {
    match jetstream.get_stream(STREAM).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(failure)
                if failure.error_code() == ErrorCode::STREAM_NOT_FOUND =>
            {
                Ok(None)
            }
            GetStreamErrorKind::JetStream(_)
            | GetStreamErrorKind::EmptyName
            | GetStreamErrorKind::InvalidStreamName
            | GetStreamErrorKind::Request => Err(SessionEnd::NatsUnavailable(error.into())),
        },
    }
}

async fn create_stream(jetstream: &Context, settings: &StreamSettings) -> Result<Info, SessionEnd> {
    let config = Config {
        name: STREAM.to_owned(),
        description: Some(DESCRIPTION.to_owned()),
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        num_replicas: 1,
        allow_direct: true,
        max_bytes: -1,
        max_messages: -1,
        max_messages_per_subject: -1,
        ..Config::default()
    };
    let config = reconcile_config(config, settings)?;
    let stream = jetstream
        .create_stream(config)
        .await
        .map_err(classify_create_error)?;
    tracing::info!(
        event = "relay.stream_created",
        stream = STREAM,
        "stream created"
    );
    Ok(stream.cached_info().clone())
}

/// Returns the configuration with the required values and the settings; other values are unchanged.
fn reconcile_config(mut config: Config, settings: &StreamSettings) -> Result<Config, HaltReason> {
    let unfit = |reason: &str| {
        Err(HaltReason::StreamUnfit {
            reason: reason.to_owned(),
        })
    };
    if config.retention != RetentionPolicy::Limits {
        return unfit("retention policy is not limits");
    }
    if config.mirror.is_some()
        || config
            .sources
            .as_ref()
            .is_some_and(|source| !source.is_empty())
    {
        return unfit("it sources or mirrors other streams");
    }
    if config.sealed || config.no_ack || config.allow_rollup {
        return unfit("it is sealed, has no_ack, or allows rollup headers");
    }
    config.subjects = vec![format!("{SUBJECTS}.>")];
    config.deny_delete = true;
    config.deny_purge = true;
    if let Some(replicas) = settings.replicas {
        config.num_replicas = replicas;
    }
    if let Some(max_age) = settings.max_age {
        config.max_age = max_age;
    }
    if let Some(max_bytes) = settings.max_bytes {
        config.max_bytes = max_bytes;
    }
    if let Some(window) = settings.duplicate_window {
        config.duplicate_window = window;
    }
    Ok(config)
}

/// Classifies a failed create or update: the configuration is unsuitable, or NATS is temporarily unavailable.
fn classify_create_error(error: CreateStreamError) -> SessionEnd {
    match error.kind() {
        CreateStreamErrorKind::JetStream(said) if said.code() != SERVICE_UNAVAILABLE => {
            HaltReason::StreamUnfit {
                reason: said.to_string(),
            }
            .into()
        }
        CreateStreamErrorKind::JetStream(_)
        | CreateStreamErrorKind::EmptyStreamName
        | CreateStreamErrorKind::InvalidStreamName
        | CreateStreamErrorKind::DomainAndExternalSet
        | CreateStreamErrorKind::JetStreamUnavailable
        | CreateStreamErrorKind::TimedOut
        | CreateStreamErrorKind::Response
        | CreateStreamErrorKind::NotFound
        | CreateStreamErrorKind::ResponseParse => SessionEnd::NatsUnavailable(error.into()),
    }
}

/// Returns the state of the stream as NATS reports it.
pub(crate) fn snapshot(info: &Info) -> StreamSnapshot {
    let config = &info.config;
    let state = &info.state;
    let limited = config.max_age > Duration::ZERO
        || [
            config.max_bytes,
            config.max_messages,
            config.max_messages_per_subject,
        ]
        .iter()
        .any(|number| *number > 0);
    StreamSnapshot {
        created_ns: i64::try_from(info.created.unix_timestamp_nanos()).unwrap_or(i64::MAX),
        first_sequence: state.first_sequence,
        last_sequence: state.last_sequence,
        messages: state.messages,
        limited,
    }
}

/// Returns the last message of the stream, compared with the log.
pub(crate) async fn last_message(
    jetstream: &Context,
    log: &dyn EventLog,
    sequence: u64,
) -> Result<LastMessage, SessionEnd> {
    let stream = jetstream.get_stream_no_info(STREAM).await;
    let stream = stream.map_err(|error| SessionEnd::NatsUnavailable(error.into()))?;
    let message = match stream.get_raw_message(sequence).await {
        Ok(message) => message,
        Err(error) => match error.kind() {
            RawMessageErrorKind::NoMessageFound => return Ok(LastMessage::Deleted),
            RawMessageErrorKind::InvalidSubject
            | RawMessageErrorKind::JetStream(_)
            | RawMessageErrorKind::Other => return Err(SessionEnd::NatsUnavailable(error.into())),
        },
    };
    let Some(said) = parse_attributes(&message) else {
        return Ok(LastMessage::Foreign);
    };
    let position = said.position;
    Ok(match log.event_at(position).await? {
        Some(event) if event.event_id.to_string() == said.event_id => LastMessage::Event {
            position,
            hash: event.hash,
        },
        Some(_) | None => LastMessage::UnknownPosition { position },
    })
}
