"""What one client wrote, every other reads: records with everything a record can have."""

from __future__ import annotations

from functools import partial

from ..clients import Client, client_names
from ..driver import Unsupported
from ..records import Record, compare
from ..report import Stage, story
from ..together import together

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def awkward(codec: str, varied: bool) -> list[Record]:
    """Records with nulls, emptiness, headers and text beyond ASCII; no line feeds, for kcat."""
    headers = (("codec", codec.encode()), ("note", "Größe".encode()))
    records = [
        Record(b"plain", b"key", headers),
        Record("Straße 東京 🚀".encode(), "schlüssel".encode(), headers),
        Record(b"no key", None, headers),
        Record(None, b"tombstone", headers),
        Record(b"x" * 100_000, b"large", headers),
    ]
    records += [Record(f"{number}".encode(), b"many", headers) for number in range(100)]
    if varied:
        records += [
            Record(b"no headers", b"key"),
            Record(b"repeated header", b"key", (("a", b"1"), ("a", b"2"))),
            Record(b"dated", b"key", timestamp=1_700_000_000_123),
        ]
    return records


def exchange(stage: Stage, writer_name: str) -> None:
    """One topic, written with one codec after the other, and read by every client."""
    writer = stage.clients[writer_name]
    topic = f"pairs-{writer_name}"
    stage.clients["kafka-python"].create_topic(topic, 1)
    written: list[Record] = []
    for codec in CODECS:
        records = awkward(codec, writer.varied_headers and writer_name != "console")
        with stage.where_supported():
            writer.produce(topic, records, compression=codec)
            written += records

    def read(reader: Client) -> None:
        try:
            compare(written, reader.read(topic, len(written)))
        except Unsupported as reason:
            stage.remarks.append(str(reason))

    together(read, stage.clients.values(), lambda reader: f"{reader.name} read")


for name in client_names():
    story(f"{name} writes with every codec, everyone reads")(partial(exchange, writer_name=name))
