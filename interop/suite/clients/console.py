"""Apache Kafka's console tools: kafka-topics, the console producer and the console consumer."""

from __future__ import annotations

from typing import Iterable

from ..processes import run
from ..records import Record
from .java import tool

SEPARATOR = "\x1f"
NULL = "\x1d"


class Console:
    name = "console"
    varied_headers = True

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def create_topic(self, topic: str, partitions: int) -> None:
        self._tool(
            "TopicCommand", "--create", "--topic", topic,
            "--partitions", str(partitions),
        )  # fmt: skip

    def produce(
        self, topic: str, records: Iterable[Record], *, compression: str = "none"
    ) -> None:
        lines = []
        for record in records:
            assert record.partition == 0, "the console producer cannot choose a partition"
            headers = ",".join(
                f"{name}:{NULL if value is None else value.decode()}"
                for name, value in record.headers
            )
            fields = [headers or NULL] + [
                NULL if field is None else field.decode() for field in (record.key, record.value)
            ]
            lines.append(SEPARATOR.join(fields) + "\n")
        self._tool(
            "ConsoleProducer", "--topic", topic, "--compression-codec", compression,
            "--command-property", "acks=all",
            "--reader-property", "parse.key=true", "--reader-property", "parse.headers=true",
            "--reader-property", f"key.separator={SEPARATOR}",
            "--reader-property", f"headers.delimiter={SEPARATOR}",
            "--reader-property", f"null.marker={NULL}",
            stdin="".join(lines).encode(),
        )  # fmt: skip

    def read(self, topic: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        return self._consume(topic, count, timeout_s)

    def consume(self, topic: str, group: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        return self._consume(topic, count, timeout_s, "--group", group)

    def _consume(self, topic: str, count: int, timeout_s: float, *options: str) -> list[Record]:
        shown = ["timestamp", "partition", "offset", "headers", "key", "value"]
        properties = [f"print.{field}=true" for field in shown]
        properties += [f"key.separator={SEPARATOR}", f"null.literal={NULL}"]
        formatting = [word for text in properties for word in ("--formatter-property", text)]
        done = self._tool(
            "consumer.ConsoleConsumer", "--topic", topic, "--from-beginning",
            "--max-messages", str(count), *options, *formatting, timeout_s=timeout_s,
        )  # fmt: skip
        return [_parse(line) for line in done.stdout.decode().split("\n") if line]

    def _tool(self, name: str, *options: str, stdin: bytes = b"", timeout_s: float = 60):
        command = [*tool(name), "--bootstrap-server", self.bootstrap, *options]
        return run(command, stdin=stdin, timeout_s=timeout_s)


def _parse(line: str) -> Record:
    """Reads one line of the console consumer: labels on the numbers, none on the rest."""
    timestamp, partition, offset, headers, key, value = line.split(SEPARATOR)
    return Record(
        value=_bytes(value),
        key=_bytes(key),
        headers=() if headers == "NO_HEADERS" else tuple(map(_header, headers.split(","))),
        partition=int(partition.removeprefix("Partition:")),
        offset=int(offset.removeprefix("Offset:")),
        timestamp=int(timestamp.split(":")[1]),
    )


def _header(text: str) -> tuple[str, bytes | None]:
    name, _, value = text.partition(":")
    return name, _bytes(value)


def _bytes(text: str) -> bytes | None:
    return None if text == NULL else text.encode()
