"""A consumer of Roentgen's events: prints each one's position, type and subject, and goes on where it left off.

Needs nats-py. consumer.py NATS_URL [COUNT]: ends after so many events, or never.
"""

import asyncio
import json
import sys

import nats
from nats.errors import TimeoutError as NothingYet
from nats.js.api import AckPolicy, ConsumerConfig

STREAM = "ROENTGEN_EVENTS"
# NATS remembers under this name how far the consumer is. One type of one tenant would be
# roentgen.events.<tenant>.ImagingOrder.Created.
NAME = "example-python"
SUBJECTS = "roentgen.events.>"


def handle(message, position):
    """Here something would be done, and ce-id or the position be kept with it."""
    data = json.loads(message.data)
    if not isinstance(data, dict):
        raise ValueError(f"position {position} is no object")
    print(position, message.headers["ce-type"], message.headers["ce-subject"], flush=True)


async def main(url, count=None):
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
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: consumer.py NATS_URL [COUNT]")
    asyncio.run(main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else None))
