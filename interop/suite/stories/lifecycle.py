"""The broker goes and comes back under all clients at once: what was committed stays committed."""

from __future__ import annotations

import signal
from collections import Counter

from ..clients import Client
from ..clients.driven import Driven, produce, take
from ..records import Record, compare
from ..report import Stage, check, story
from ..together import together

#: Records before the restart, of these consumed before it, and records after it.
BEFORE, CONSUMED_BEFORE, AFTER = 600, 250, 300
#: Read before the restart, and not committed.
UNCOMMITTED = 50


@story("every client resumes after a restart of the broker")
def restarted(stage: Stage) -> None:
    resume(stage, signal.SIGTERM)


@story("every client resumes after the broker was killed")
def killed(stage: Stage) -> None:
    resume(stage, signal.SIGKILL)


def resume(stage: Stage, how: signal.Signals) -> None:
    acts = [
        kind(client, how.name.lower())
        for client in stage.clients.values()
        for kind in ([Visitor, Resident] if isinstance(client, Driven) else [Visitor])
    ]
    together(lambda act: act.before(), acts, lambda act: act.name)
    stage.broker.restart(how)
    together(lambda act: act.after(), acts, lambda act: act.name)


class Visitor:
    """Takes some, leaves, and comes back to the broker as a new member."""

    def __init__(self, client: Client, how: str) -> None:
        self.client = client
        self.name = f"{client.name}, a visitor"
        # The console tools and kcat cannot choose partitions.
        self.partitions = 3 if isinstance(client, Driven) else 1
        self.topic = f"visitor-{client.name}-{how}"
        self.group = f"{self.topic}-group"

    def before(self) -> None:
        self.client.create_topic(self.topic, self.partitions)
        self.written = numbered(0, BEFORE, self.partitions)
        self.client.produce(self.topic, self.written)
        self.taken = self.client.consume(self.topic, self.group, CONSUMED_BEFORE)

    def after(self) -> None:
        more = numbered(BEFORE, AFTER, self.partitions)
        self.client.produce(self.topic, more)
        self.written += more
        count = len(self.written) - CONSUMED_BEFORE
        self.taken += self.client.consume(self.topic, self.group, count)
        # The group saw everything exactly once, across the restart.
        compare(self.written, self.taken)
        # And what a reader without a group sees is the same.
        compare(self.written, self.client.read(self.topic, len(self.written)))


class Resident:
    """Stays connected, producer and member alike, and goes on when the broker is back."""

    def __init__(self, client: Driven, how: str) -> None:
        self.client = client
        self.name = f"{client.name}, a resident"
        self.topic = f"resident-{client.name}-{how}"
        self.group = f"{self.topic}-group"

    def before(self) -> None:
        self.driver = self.client.driver()
        self.driver.call("create_topic", topic=self.topic, partitions=3, config={})
        self.written = numbered(0, BEFORE, 3)
        produce(self.driver, self.topic, self.written)
        self.driver.open(self.group, topics=[self.topic])
        self.taken = take(self.driver, CONSUMED_BEFORE, 60)
        self.driver.call("commit")
        self.uncommitted = take(self.driver, UNCOMMITTED, 60)

    def after(self) -> None:
        more = numbered(BEFORE, AFTER, 3)
        produce(self.driver, self.topic, more)
        self.written += more
        # Whether the library joins again, and so reads again what it had not committed, is its
        # own affair.
        left = Counter(self.written) - Counter(map(plain, self.taken))
        missing = left - Counter(map(plain, self.uncommitted))
        came: list[Record] = []
        while due := (missing - Counter(map(plain, came))).total():
            polled = take(self.driver, due, 60)
            check(len(polled) > 0, f"{due} records did not come")
            came += polled
        surplus = Counter(map(plain, came)) - left
        check(not surplus, f"committed, and read again: {list(surplus)[:3]}")
        self.driver.call("commit")
        for partition in range(3):
            found = self.driver.call(
                "committed", group=self.group, topic=self.topic, partition=partition
            )
            check(found["offset"] == len(self.written) // 3, f"committed is {found}")
        self.driver.call("close")
        self.driver.close()


def numbered(first: int, count: int, partitions: int) -> list[Record]:
    return [
        Record(f"value {number}".encode(), f"key {number}".encode(), partition=number % partitions)
        for number in range(first, first + count)
    ]


def plain(record: Record) -> Record:
    """The record as it was written."""
    return Record(record.value, record.key, partition=record.partition)
