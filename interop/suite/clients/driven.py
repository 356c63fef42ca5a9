"""The clients that have a driver (drivers/README.md), behind the face of all clients."""

from __future__ import annotations

import threading
import time
from itertools import count as counter
from pathlib import Path
from typing import Iterable, Sequence

from ..driver import Driver, fields_of
from ..processes import Failed
from ..records import Record

#: Of one request: what a line can carry without being a burden.
RECORDS_MAX, BYTES_MAX = 5_000, 8 << 20
#: Of one poll.
POLL_MS = 500


class Driven:
    """A library behind its driver. The calls of the face share one process, started when needed."""

    varied_headers = True

    def __init__(
        self, name: str, command: Sequence[str | Path], bootstrap: str, work: Path
    ) -> None:
        self.name = name
        self.command = command
        self.bootstrap = bootstrap
        self.work = work
        self._numbers = counter(1)
        self._shared: Driver | None = None
        self._lock = threading.RLock()

    def driver(self) -> Driver:
        """Starts another process, for a story of its own."""
        log = self.work / f"{self.name}-{next(self._numbers)}.log"
        return Driver(self.name, self.command, self.bootstrap, log)

    def create_topic(self, topic: str, partitions: int) -> None:
        with self._lock:
            self._driver().call("create_topic", topic=topic, partitions=partitions, config={})

    def produce(
        self, topic: str, records: Iterable[Record], *, compression: str = "none"
    ) -> None:
        with self._lock:
            for part in parts(records):
                produce(self._driver(), topic, part, compression=compression)

    def read(self, topic: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        with self._lock:
            driver = self._driver()
            found = driver.call("describe_topic", topic=topic)["partitions"]
            assigned = [[topic, partition["index"]] for partition in found]
            driver.open(None, assign=assigned)
            try:
                return take(driver, count, timeout_s)
            finally:
                driver.call("close")

    def consume(self, topic: str, group: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        with self._lock:
            driver = self._driver()
            driver.open(group, topics=[topic])
            try:
                taken = take(driver, count, timeout_s)
                driver.call("commit")
                return taken
            finally:
                driver.call("close")

    def close(self) -> None:
        with self._lock:
            if self._shared is not None:
                driver, self._shared = self._shared, None
                driver.close()

    def _driver(self) -> Driver:
        if self._shared is None or not self._shared.is_running():
            self._shared = self.driver()
        return self._shared


def produce(
    driver: Driver,
    topic: str,
    records: Iterable[Record],
    *,
    compression: str = "none",
    acks: int = -1,
    idempotent: bool = True,
) -> list[int | None]:
    """Produces in one request; gives the offsets that the library reported."""
    sent = [fields_of(topic, record) for record in records]
    done = driver.call(
        "produce", topic=topic, records=sent, compression=compression, acks=acks,
        idempotent=idempotent, answer_s_max=120,
    )  # fmt: skip
    if len(done["offsets"]) != len(sent):
        raise Failed(f"{driver.name}: {len(done['offsets'])} offsets of {len(sent)} records")
    return done["offsets"]


def take(driver: Driver, count: int, timeout_s: float) -> list[Record]:
    """Polls the open consumer until `count` records are there, and no further."""
    taken: list[Record] = []
    deadline = time.monotonic() + timeout_s
    while len(taken) < count and time.monotonic() < deadline:
        taken += driver.poll(min(RECORDS_MAX, count - len(taken)), POLL_MS)
    return taken


def parts(records: Iterable[Record]) -> Iterable[list[Record]]:
    """Cuts records into requests of a reasonable size."""
    part: list[Record] = []
    size = 0
    for record in records:
        part.append(record)
        size += len(record.value or b"") + len(record.key or b"")
        if len(part) == RECORDS_MAX or size >= BYTES_MAX:
            yield part
            part, size = [], 0
    if part:
        yield part
