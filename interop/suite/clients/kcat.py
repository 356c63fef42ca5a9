"""kcat: librdkafka, the client under most of the languages that are not Java."""

from __future__ import annotations

from itertools import groupby
from typing import Iterable

from ..processes import run, wait_for
from ..records import Record, by_partition

#: Every field of a record with its length ahead of it, so that any byte may occur in it.
FORMAT = "%p %o %T %K %S %R%k%s%h\n"


class Kcat:
    name = "kcat"
    varied_headers = False

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def create_topic(self, topic: str, partitions: int) -> None:
        """kcat cannot create topics: it asks for metadata and relies on auto-creation."""
        if partitions != 1:
            raise NotImplementedError("auto-creation makes num.partitions partitions")
        ask = ("-L", "-t", topic, "-X", "allow.auto.create.topics=true")
        self._kcat(*ask)
        wait_for(
            f"kcat lists {topic}",
            lambda: f'topic "{topic}" with 1 partitions' in self._kcat(*ask).stdout.decode(),
        )

    def produce(
        self, topic: str, records: Iterable[Record], *, compression: str = "none"
    ) -> None:
        for partition, group in by_partition(records).items():
            # kcat sets one list of headers per run.
            for headers, run_of in groupby(group, key=lambda record: record.headers):
                options = ["-P", "-t", topic, "-p", str(partition), "-z", compression]
                options += ["-X", "acks=all", "-X", "enable.idempotence=true", "-K", "\x1f", "-Z"]
                for name, value in headers:
                    options += ["-H", name if value is None else f"{name}={value.decode()}"]
                self._kcat(*options, stdin=b"".join(map(_line, run_of)), timeout_s=120)

    def read(self, topic: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        done = self._kcat(
            "-C", "-t", topic, "-o", "beginning", "-c", str(count), "-Z", "-f", FORMAT, "-q",
            "-X", "check.crcs=true", timeout_s=timeout_s,
        )  # fmt: skip
        return _parse(done.stdout)

    def consume(self, topic: str, group: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        done = self._kcat(
            "-G", group, "-c", str(count), "-Z", "-f", FORMAT, "-q",
            "-X", "auto.offset.reset=earliest", topic, timeout_s=timeout_s,
        )  # fmt: skip
        return _parse(done.stdout)

    def _kcat(self, *options: str, stdin: bytes = b"", timeout_s: float = 60):
        return run(["kcat", "-b", self.bootstrap, *options], stdin=stdin, timeout_s=timeout_s)


def _line(record: Record) -> bytes:
    """A record as kcat reads it; with -Z an empty key or value is null."""
    assert record.timestamp < 0, "kcat cannot set timestamps"
    key, value = record.key or b"", record.value or b""
    assert b"\n" not in key + value and b"\x1f" not in key + value, "kcat reads lines"
    return key + b"\x1f" + value + b"\n"


def _parse(output: bytes) -> list[Record]:
    """Reads what FORMAT wrote. Lengths of -1 are nulls; -Z prints a null as "NULL"."""
    records = []
    position = 0
    while position < len(output):
        fields = []
        for _ in range(5):
            end = output.index(b" ", position)
            fields.append(int(output[position:end]))
            position = end + 1
        partition, offset, timestamp, key_size, value_size = fields
        position += 4
        key, position = _field(output, position, key_size)
        value, position = _field(output, position, value_size)
        end = output.index(b"\n", position)
        headers = tuple(_headers(output[position:end]))
        position = end + 1
        records.append(Record(value, key, headers, partition, offset, timestamp))
    return records


def _field(output: bytes, position: int, size: int) -> tuple[bytes | None, int]:
    if size < 0:
        assert output[position : position + 4] == b"NULL"
        return None, position + 4
    return output[position : position + size], position + size


def _headers(text: bytes) -> Iterable[tuple[str, bytes | None]]:
    for pair in filter(None, text.split(b",")):
        name, _, value = pair.partition(b"=")
        yield name.decode(), None if value == b"NULL" else value
