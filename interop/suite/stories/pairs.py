"""What one client wrote, every other reads: records with everything a record can have."""

from __future__ import annotations

from ..records import Record, compare
from ..report import Stage, story

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]


def awkward(varied: bool) -> list[Record]:
    """Records with nulls, emptiness, headers and text beyond ASCII; no line feeds, for kcat."""
    headers = (("origin", b"suite"), ("note", "Größe".encode()))
    records = [
        Record(b"plain", b"key", headers),
        Record("Straße 東京 🚀".encode(), "schlüssel".encode(), headers),
        Record(b"no key", None, headers),
        Record(None, b"tombstone", headers),
        Record(b"x" * 100_000, b"large", headers),
    ]
    records += [Record(f"{number}".encode(), b"many", headers) for number in range(500)]
    if varied:
        records += [
            Record(b"no headers", b"key"),
            Record(b"repeated header", b"key", (("a", b"1"), ("a", b"2"))),
            Record(b"dated", b"key", timestamp=1_700_000_000_123),
        ]
    return records


def exchange(stage: Stage, writer_name: str) -> None:
    """One topic per codec, read by every client."""
    writer = stage.clients[writer_name]
    for codec in CODECS:
        topic = f"pairs-{writer_name}-{codec}"
        stage.clients["kafka-python"].create_topic(topic, 1)
        records = awkward(varied=writer_name in ("java", "kafka-python"))
        writer.produce(topic, records, compression=codec)
        for reader in stage.clients.values():
            if reader.name == "console" and codec not in ("none", "zstd"):
                continue  # the same library as java's; two codecs show that the tool works
            try:
                compare(records, reader.read(topic, len(records)))
            except Exception as error:
                error.args = (f"{writer_name} wrote with {codec}, {reader.name} read: {error}",)
                raise


@story("kcat writes, everyone reads, every codec")
def from_kcat(stage: Stage) -> None:
    exchange(stage, "kcat")


@story("kafka-python writes, everyone reads, every codec")
def from_kafka_python(stage: Stage) -> None:
    exchange(stage, "kafka-python")


@story("java writes, everyone reads, every codec")
def from_java(stage: Stage) -> None:
    exchange(stage, "java")


@story("the console producer writes, everyone reads, every codec")
def from_console(stage: Stage) -> None:
    exchange(stage, "console")
