"""Reads a whole stream with nats-py, as any consumer could: read_once.py NATS_URLS.

Fails where an event comes twice or an aggregate's events come out of order; prints each message's sequence and the
event that it says it is.
"""

import asyncio
import sys

import nats

STREAM = "ROENTGEN_EVENTS"
SUBJECTS = "roentgen.events.>"
BATCH = 500
PATIENCE = 10


async def messages(connection):
    """Every message that the stream has now, in its order."""
    jetstream = connection.jetstream()
    left = (await jetstream.stream_info(STREAM)).state.messages
    consumer = await jetstream.pull_subscribe(SUBJECTS, stream=STREAM)
    while left > 0:
        for message in await consumer.fetch(min(left, BATCH), timeout=PATIENCE):
            yield message
            await message.ack()
            left -= 1


async def main(urls):
    connection = await nats.connect(urls.split(","))
    seen, versions = set(), {}
    async for message in messages(connection):
        says = message.headers
        event, aggregate = says["ce-id"], says["ce-subject"]
        if event in seen:
            raise ValueError(f"{event} comes twice")
        seen.add(event)
        version = int(says["ce-streamversion"])
        if version != versions.get(aggregate, 0) + 1:
            raise ValueError(f"version {version} of {aggregate} after {versions.get(aggregate, 0)}")
        versions[aggregate] = version
        sequence = message.metadata.sequence.stream
        print(sequence, says["ce-position"], event, aggregate, version)
    await connection.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: read_once.py NATS_URLS")
    asyncio.run(main(sys.argv[1]))
