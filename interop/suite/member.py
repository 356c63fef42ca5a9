"""Members of a group that read and commit all the time, and what they read and committed."""

from __future__ import annotations

import threading

from .clients.driven import Driven
from .driver import Refused
from .processes import Failed
from .records import Record

#: Of one poll: short, so that a member that is to do something else soon does it.
POLL_MS = 200
RECORDS_MAX = 50


class Ledger:
    """Who read what of one topic, how often, and how far each partition is committed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: dict[tuple[int, int], list[str]] = {}
        self._committed: dict[int, int] = {}
        self.faults: list[str] = []

    def read(self, member: str, records: list[Record]) -> None:
        with self._lock:
            for record in records:
                self._readers.setdefault((record.partition, record.offset), []).append(member)
                committed = self._committed.get(record.partition, 0)
                if record.offset < committed:
                    place = f"{record.partition}/{record.offset}"
                    self.faults.append(f"{member} read {place} when {committed} was committed")

    def commit(self, offsets: list[list]) -> None:
        with self._lock:
            for _, partition, offset in offsets:
                self._committed[partition] = max(offset, self._committed.get(partition, 0))

    def count(self) -> int:
        """How many records were read at least once."""
        with self._lock:
            return len(self._readers)

    def committed(self) -> int:
        """How many records are committed."""
        with self._lock:
            return sum(self._committed.values())

    def readers(self, partition: int, offset: int) -> list[str]:
        with self._lock:
            return list(self._readers.get((partition, offset), ()))


class Member:
    """A driver of its own that is a member, on a thread of its own."""

    def __init__(
        self, client: Driven, name: str, group: str, topic: str, ledger: Ledger, session_ms: int
    ) -> None:
        self.name = name
        self.topic = topic
        self.ledger = ledger
        self.driver = client.driver()
        self.commits = True
        self.partitions: list[int] = []
        #: Why it had to give up, if it had.
        self.failure: Exception | None = None
        self._leaving = threading.Event()
        self._killed = False
        self.driver.open(group, topics=[topic], config={"session_timeout_ms": session_ms})
        self._thread = threading.Thread(target=self._run, name=name)
        self._thread.start()

    def leave(self) -> None:
        """Closes the consumer in an orderly way."""
        self._leaving.set()
        self._thread.join()
        self.driver.call("close")
        self.driver.close()

    def kill(self) -> None:
        """Ends the process as a crash would."""
        self._killed = True
        self.driver.kill()
        self._leaving.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._leaving.is_set():
                self._round()
        except Exception as error:
            if not self._killed:
                self.failure = error

    def _round(self) -> None:
        records = self.driver.poll(RECORDS_MAX, POLL_MS)
        self.ledger.read(self.name, records)
        if records and self.commits:
            try:
                self.ledger.commit(self.driver.call("commit")["offsets"])
            except Refused:
                pass  # the group is being rebalanced; what is not committed may come again
        assigned = self.driver.call("assignment")["partitions"]
        self.partitions = sorted(index for topic, index in assigned if topic == self.topic)


def check_alive(members: list[Member]) -> None:
    """Fails if a member had to give up."""
    for member in members:
        if member.failure is not None:
            raise Failed(f"{member.name} gave up: {member.failure}")
