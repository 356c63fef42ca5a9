"""A real data set goes in by one client and comes out by another, every byte compared."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from .. import real_data
from ..records import Record, compare
from ..report import Stage, check, story

rows = cache(real_data.records)


def move(stage: Stage, writer: str, reader: str, codec: str) -> None:
    topic = f"real-{writer}-{reader}"
    stage.clients["kafka-python"].create_topic(topic, real_data.PARTITIONS)
    written = rows()
    if stage.clients[writer].varied_headers:
        written = [with_header(number, row) for number, row in enumerate(written)]
    stage.clients[writer].produce(topic, written, compression=codec)
    read = stage.clients[reader].read(topic, len(written), timeout_s=120)
    compare(written, read)
    check(
        {record.partition: record.offset for record in read}
        == {
            partition: sum(row.partition == partition for row in written) - 1
            for partition in range(real_data.PARTITIONS)
        },
        "the last offsets are not the counts",
    )


def with_header(number: int, row: Record) -> Record:
    return replace(row, headers=(("row", str(number).encode()),))


@story("real data: in by kcat (lz4), out by java")
def kcat_to_java(stage: Stage) -> None:
    move(stage, "kcat", "java", "lz4")


@story("real data: in by java (zstd), out by kcat")
def java_to_kcat(stage: Stage) -> None:
    move(stage, "java", "kcat", "zstd")


@story("real data: in by kafka-python (uncompressed), out by java")
def kafka_python_to_java(stage: Stage) -> None:
    move(stage, "kafka-python", "java", "none")
