//! A consumer of Roentgen's events: prints each one's position, type and subject, and goes on where it left off.
//!
//! `consumer NATS_URL [COUNT]`: ends after so many events, or never.

use anyhow::{Context as _, Result, bail, ensure};
use async_nats::jetstream::consumer::{AckPolicy, pull};
use async_nats::jetstream::{self, Message};
use futures_util::StreamExt as _;

const STREAM: &str = "ROENTGEN_EVENTS";
/// NATS remembers under this name how far the consumer is. One type of one tenant would be
/// `roentgen.events.<tenant>.ImagingOrder.Created`.
const NAME: &str = "example-rust";
const SUBJECTS: &str = "roentgen.events.>";

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let Some(url) = arguments.next() else {
        bail!("usage: consumer NATS_URL [COUNT]");
    };
    let count = arguments.next().map(|it| it.parse()).transpose()?;
    let jetstream = jetstream::new(async_nats::connect(url).await?);
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
        let position: u64 = header(&message, "ce-position")?.parse()?;
        // Positions are dense. A repeat is what was handled and whose acknowledgement was lost.
        ensure!(
            before.is_none_or(|it| position <= it + 1),
            "a gap before {position}"
        );
        if before.is_none_or(|it| position > it) {
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

/// Here something would be done, and `ce-id` or the position be kept with it.
fn handle(message: &Message, position: u64) -> Result<()> {
    let (kind, subject) = (header(message, "ce-type")?, header(message, "ce-subject")?);
    let data: serde_json::Value = serde_json::from_slice(&message.payload)?;
    ensure!(data.is_object(), "position {position} is no object");
    println!("{position} {kind} {subject}");
    Ok(())
}

fn header<'m>(message: &'m Message, name: &str) -> Result<&'m str> {
    let headers = message.headers.as_ref();
    let value = headers.and_then(|it| it.get(name));
    value
        .map(|it| it.as_str())
        .with_context(|| format!("no {name}"))
}
