//! A consumer of Roentgen's events: checks each one's signature, prints its position, type and subject, and continues
//! after the last one when it is started again.
//!
//! `consumer NATS_URL PUBLIC_KEY_FILE [COUNT]`: ends after COUNT events, or never. `roentgen event-key` prints the key.

use anyhow::{Context as _, Result, bail, ensure};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, Message};
use async_nats::{Client, ConnectOptions, ServerAddr};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use ed25519_dalek::{Signature, VerifyingKey};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};

const STREAM: &str = "ROENTGEN_EVENTS";
/// NATS remembers under this name how far the consumer is. One type of one tenant would be
/// `roentgen.events.<tenant>.ImagingOrder.Created`.
const NAME: &str = "example-rust";
const SUBJECTS: &str = "roentgen.events.>";

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(key)) = (arguments.next(), arguments.next()) else {
        bail!("usage: consumer NATS_URL PUBLIC_KEY_FILE [COUNT]");
    };
    let key = VerifyingKey::from_public_key_pem(&std::fs::read_to_string(key)?)?;
    let count = arguments.next().map(|text| text.parse()).transpose()?;
    let jetstream = jetstream::new(connect(&url).await?);
    let stream = jetstream.get_stream(STREAM).await?;
    let wanted = pull::Config {
        durable_name: Some(NAME.to_owned()),
        filter_subject: SUBJECTS.to_owned(),
        // One at a time: what is not acknowledged comes again, before anything later.
        ack_policy: AckPolicy::Explicit,
        max_ack_pending: 1,
        ..pull::Config::default()
    };
    let consumer = stream.get_or_create_consumer(NAME, wanted).await?;
    let mut messages = consumer.messages().await?.take(count.unwrap_or(usize::MAX));
    let mut before = None;
    while let Some(message) = messages.next().await {
        let message = message?;
        verify(&message, &key)?;
        let position: u64 = header(&message, "ce-position")?.parse()?;
        // Positions are dense. A repeat is what was handled and whose acknowledgement was lost.
        ensure!(
            before.is_none_or(|number| position <= number + 1),
            "a gap before {position}"
        );
        if before.is_none_or(|number| position > number) {
            handle(&message, position)?;
            before = Some(position);
        }
        message
            .double_ack()
            .await
            .map_err(anyhow::Error::from_boxed)?;
    }
    Ok(())
}

/// Logs in as the URL says; the client does not read that by itself.
async fn connect(url: &str) -> Result<Client> {
    let server: ServerAddr = url.parse()?;
    let options = match (server.username(), server.password()) {
        (Some(user), Some(password)) => {
            ConnectOptions::with_user_and_password(user.to_owned(), password.to_owned())
        }
        (Some(_), None) | (None, _) => ConnectOptions::new(),
    };
    Ok(options.connect(server).await?)
}

/// Fails unless Roentgen signed this id, position, type and body. A message that fails was not published by Roentgen.
fn verify(message: &Message, key: &VerifyingKey) -> Result<()> {
    let id = header(message, "ce-id")?;
    let position = header(message, "ce-position")?;
    let kind = header(message, "ce-type")?;
    let digest = Sha256::digest(&message.payload);
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let signed = format!("roentgen.event.1\n{id}\n{position}\n{kind}\n{digest}");
    let signature = STANDARD.decode(header(message, "ce-signature")?)?;
    let signature = Signature::from_slice(&signature)?;
    let verified = key.verify_strict(signed.as_bytes(), &signature);
    verified.with_context(|| format!("position {position} is not signed by Roentgen"))
}

/// Here something would be done, and `ce-id` or the position be kept with it.
fn handle(message: &Message, position: u64) -> Result<()> {
    let kind = header(message, "ce-type")?;
    let subject = header(message, "ce-subject")?;
    let data: serde_json::Value = serde_json::from_slice(&message.payload)?;
    ensure!(data.is_object(), "position {position} is no object");
    println!("{position} {kind} {subject}");
    Ok(())
}

fn header<'m>(message: &'m Message, name: &str) -> Result<&'m str> {
    let headers = message.headers.as_ref();
    let value = headers.and_then(|map| map.get(name));
    value
        .map(|header| header.as_str())
        .with_context(|| format!("no {name}"))
}
