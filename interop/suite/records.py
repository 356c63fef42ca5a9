"""Records as the suite compares them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Iterable


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
