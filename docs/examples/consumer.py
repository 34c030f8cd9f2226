"""A consumer of Roentgen's events: checks each one's signature, prints its position, type and subject, and continues
after the last one when it is started again.

Needs nats-py and cryptography. consumer.py NATS_URL PUBLIC_KEY_FILE [COUNT]: ends after COUNT events, or never.
`roentgen event-key` prints the key.
"""

import asyncio
import base64
import hashlib
import json
import sys

import nats
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from nats.errors import TimeoutError as NothingYet
from nats.js.api import AckPolicy, ConsumerConfig

STREAM = "ROENTGEN_EVENTS"
# NATS remembers under this name how far the consumer is. One type of one tenant would be
# roentgen.events.<tenant>.ImagingOrder.Created.
NAME = "example-python"
SUBJECTS = "roentgen.events.>"


def verify(message, key):
    """Fails unless Roentgen signed this id, position, type and body. What fails was not published by Roentgen."""
    headers = message.headers
    position = headers["ce-position"]
    digest = hashlib.sha256(message.data).hexdigest()
    signed = "\n".join(("roentgen.event.1", headers["ce-id"], position, headers["ce-type"], digest))
    try:
        key.verify(base64.b64decode(headers["ce-signature"], validate=True), signed.encode())
    except (KeyError, ValueError, InvalidSignature) as error:
        raise ValueError(f"position {position} is not signed by Roentgen") from error


def handle(message, position):
    """Here something would be done, and ce-id or the position be kept with it."""
    data = json.loads(message.data)
    if not isinstance(data, dict):
        raise ValueError(f"position {position} is no object")
    print(position, message.headers["ce-type"], message.headers["ce-subject"], flush=True)


async def main(url, key_file, count=None):
    with open(key_file, "rb") as file:
        key = load_pem_public_key(file.read())
    connection = await nats.connect(url)
    # One at a time: what is not acknowledged comes again, before anything later.
    wanted = ConsumerConfig(ack_policy=AckPolicy.EXPLICIT, max_ack_pending=1)
    events = await connection.jetstream().pull_subscribe(
        SUBJECTS, durable=NAME, stream=STREAM, config=wanted
    )
    before, seen = None, 0
    while count is None or seen < count:
        try:
            (message,) = await events.fetch(1, timeout=5)
        except NothingYet:
            continue
        verify(message, key)
        position = int(message.headers["ce-position"])
        # Positions are dense. A repeat is what was handled and whose acknowledgement was lost.
        if before is not None and position > before + 1:
            raise ValueError(f"a gap before {position}")
        if before is None or position > before:
            handle(message, position)
            before, seen = position, seen + 1
        await message.ack_sync()
    await connection.close()


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: consumer.py NATS_URL PUBLIC_KEY_FILE [COUNT]")
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) == 4 else None))
