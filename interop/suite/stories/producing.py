"""Each client writes in every way it knows, and reads it all back."""

from __future__ import annotations

import random

from ..clients.driven import Driven, produce
from ..records import Record, compare
from ..report import Stage, check, story_of_each_driver

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
#: Acknowledgements and idempotence; what is idempotent waits for all.
MANNERS = [(-1, True), (-1, False), (1, False), (0, False)]

#: What the protocol allows and not every library can hold.
RARE_HEADERS = [
    (("nothing", None), ("empty", b"")),
    (("a", b"1"), ("b", b"2"), ("a", b"3")),
]


@story_of_each_driver("writes with every codec, acks and idempotence, and reads it back")
def producing(stage: Stage, client: Driven) -> None:
    ways = [(codec, *manner) for codec in CODECS for manner in MANNERS]
    topic = f"producing-{client.name}"
    # A partition for each way: nothing else decides the order in it.
    client.create_topic(topic, len(ways) + 1)
    driver = client.driver()
    written: list[Record] = []
    for partition, (codec, acks, idempotent) in enumerate(ways):
        records = varied(partition)
        with stage.where_supported():
            offsets = produce(
                driver, topic, records, compression=codec, acks=acks, idempotent=idempotent
            )
            written += records
            # Without acknowledgements nobody knows.
            expected = offsets if acks == 0 else list(range(len(records)))
            check(
                offsets == expected,
                f"{codec}, acks {acks}, idempotent {idempotent}: offsets {offsets}",
            )
    check(len(written) > 0, "no way of writing is supported")
    for headers in RARE_HEADERS:
        with stage.where_supported():
            rare = [Record(b"v", b"k", headers, len(ways))]
            produce(driver, topic, rare)
            written += rare
    driver.close()
    compare(written, client.read(topic, len(written)))


def varied(partition: int) -> list[Record]:
    """Records with everything that a record can have."""
    noise = random.Random(partition).randbytes(20_000)
    headers = (("origin", b"suite"), ("origin", b"again"), ("note", "Größe".encode()))
    records = [
        Record(b"plain", b"key"),
        Record("Straße 東京 🚀".encode(), "schlüssel".encode(), headers),
        Record(b"no key", None),
        Record(None, b"tombstone"),
        Record(b"", b"empty"),
        Record(b"empty key", b""),
        Record(bytes(range(256)), bytes(range(255, -1, -1)), (("bytes", bytes(range(256))),)),
        Record(b"x" * 50_000, b"large"),
        Record(noise, b"incompressible"),
        Record(b"dated", b"key", timestamp=1_700_000_000_123),
    ]
    records += [Record(f"{number}".encode(), b"many") for number in range(90)]
    return [
        Record(each.value, each.key, each.headers, partition, timestamp=each.timestamp)
        for each in records
    ]
