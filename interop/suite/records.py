"""Records as the suite compares them, and the file format they travel in to the Java programs."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Iterable, Iterator


@dataclass(frozen=True, slots=True)
class Record:
    """One record: what a producer was given, or what a consumer handed out."""

    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    partition: int = 0
    offset: int = -1
    timestamp: int = -1


class Difference(Exception):
    """What came out is not what went in."""


def compare(sent: Iterable[Record], received: Iterable[Record], *, headers: bool = True) -> None:
    """Checks that every record came out once, whole, in the order of its partition.

    `received` must be in the order in which the consumer handed it out. Timestamps are compared
    where the producer chose one. Offsets must be consecutive: nothing else wrote to the topic.
    """
    expected = by_partition(sent)
    actual = by_partition(received)
    if expected.keys() != actual.keys():
        raise Difference(f"partitions {sorted(actual)} where {sorted(expected)} were written")
    for partition, wanted in expected.items():
        got = actual[partition]
        for position, (want, have) in enumerate(zip(wanted, got)):
            masked = replace(
                have,
                offset=-1,
                timestamp=have.timestamp if want.timestamp >= 0 else -1,
                headers=have.headers if headers else want.headers,
            )
            if masked != replace(want, offset=-1):
                place = f"partition {partition}, record {position}"
                raise Difference(f"{place}: {shown(want)} came out as {shown(have)}")
            if have.offset != got[0].offset + position:
                before = got[position - 1].offset
                raise Difference(f"partition {partition}: offset {have.offset} follows {before}")
        if len(wanted) != len(got):
            raise Difference(f"partition {partition}: {len(got)} of {len(wanted)} records came out")


def by_partition(records: Iterable[Record]) -> dict[int, list[Record]]:
    """Groups records by partition, keeping their order."""
    grouped: dict[int, list[Record]] = {}
    for record in records:
        grouped.setdefault(record.partition, []).append(record)
    return grouped


def shown(record: Record) -> str:
    """A record for a message: whole when small, cut when large."""
    text = repr(record)
    return text if len(text) <= 300 else f"{text[:300]}… ({len(text)} characters)"


def write_file(path: Path, records: Iterable[Record]) -> None:
    """Writes a record file; RecordFile.java describes the format."""
    with path.open("wb") as out:
        for record in records:
            out.write(struct.pack(">iqq", record.partition, record.offset, record.timestamp))
            _write_bytes(out, record.key)
            _write_bytes(out, record.value)
            out.write(struct.pack(">i", len(record.headers)))
            for name, value in record.headers:
                _write_bytes(out, name.encode())
                _write_bytes(out, value)


def read_file(path: Path) -> Iterator[Record]:
    """Reads a record file."""
    with path.open("rb") as source:
        while fixed := source.read(20):
            partition, offset, timestamp = struct.unpack(">iqq", fixed)
            key, value = _read_bytes(source), _read_bytes(source)
            (count,) = struct.unpack(">i", source.read(4))
            headers = tuple(
                ((_read_bytes(source) or b"").decode(), _read_bytes(source)) for _ in range(count)
            )
            yield Record(value, key, headers, partition, offset, timestamp)


def _write_bytes(out: BinaryIO, data: bytes | None) -> None:
    out.write(struct.pack(">i", -1 if data is None else len(data)))
    out.write(data or b"")


def _read_bytes(source: BinaryIO) -> bytes | None:
    (length,) = struct.unpack(">i", source.read(4))
    return None if length < 0 else source.read(length)
