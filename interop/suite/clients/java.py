"""Java's own producer, consumer and admin client, driven by the small programs in java/."""

from __future__ import annotations

from pathlib import Path
from typing import Iterable

from ..broker import STATE
from ..processes import run
from ..records import Record, read_file, write_file

#: Short-lived programs: the first compiler is enough.
JAVA = [
    "java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
]  # fmt: skip

#: The programs in java/src, on the newest clients.
PROGRAM = [*JAVA, "-cp", f"{STATE}/java-clients/classes:{STATE}/java-clients/*"]


def tool(name: str) -> list[str]:
    """The start of a command line that runs one of Apache Kafka's own tools."""
    package = "kafka.admin" if name == "ConfigCommand" else "org.apache.kafka.tools"
    return [*JAVA, "-cp", f"{STATE}/java-tools/*", f"{package}.{name}"]


class Java:
    name = "java"
    varied_headers = True

    def __init__(self, bootstrap: str, work: Path) -> None:
        self.bootstrap = bootstrap
        self.work = work

    def create_topic(self, topic: str, partitions: int) -> None:
        run([
            *tool("TopicCommand"), "--bootstrap-server", self.bootstrap, "--create",
            "--topic", topic, "--partitions", str(partitions), "--replication-factor", "1",
        ])  # fmt: skip

    def produce(
        self, topic: str, records: Iterable[Record], *, compression: str = "none"
    ) -> None:
        source = self.work / "feed.records"
        write_file(source, records)
        run(
            [
                *PROGRAM, "flumen.interop.Feed", source, topic,
                f"bootstrap.servers={self.bootstrap}", "acks=all", "linger.ms=5",
                "batch.size=262144", f"compression.type={compression}",
            ],
            timeout_s=120,
        )  # fmt: skip

    def read(self, topic: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        return self._drain(topic, count, timeout_s)

    def consume(self, topic: str, group: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        return self._drain(topic, count, timeout_s, f"group.id={group}")

    def _drain(self, topic: str, count: int, timeout_s: float, *properties: str) -> list[Record]:
        target = self.work / "drain.records"
        run(
            [
                *PROGRAM, "flumen.interop.Drain", target, topic, str(count),
                str(int(timeout_s * 1000)), f"bootstrap.servers={self.bootstrap}", *properties,
            ],
            timeout_s=timeout_s + 30,
        )  # fmt: skip
        return list(read_file(target))
