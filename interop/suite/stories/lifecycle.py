"""Each client alone: create a topic, produce, consume in a group, resume after a restart."""

from __future__ import annotations

import signal

from ..records import Record, compare
from ..report import Stage, story

#: Records before the restart, of these consumed before it, and records after it.
BEFORE, CONSUMED_BEFORE, AFTER = 600, 250, 300


def lifecycle(stage: Stage, name: str, partitions: int, how: signal.Signals) -> None:
    client = stage.clients[name]
    topic = f"lifecycle-{name}-{how.name.lower()}"
    group = f"{topic}-group"

    client.create_topic(topic, partitions)
    written = numbered(0, BEFORE, partitions)
    client.produce(topic, written)
    taken = client.consume(topic, group, CONSUMED_BEFORE)

    stage.broker.restart(how)

    more = numbered(BEFORE, AFTER, partitions)
    client.produce(topic, more)
    written += more
    taken += client.consume(topic, group, len(written) - CONSUMED_BEFORE)

    # The group saw everything exactly once, across the restart.
    compare(written, taken)
    # And what a reader without a group sees is the same.
    compare(written, client.read(topic, len(written)))


def numbered(first: int, count: int, partitions: int) -> list[Record]:
    return [
        Record(f"value {number}".encode(), f"key {number}".encode(), partition=number % partitions)
        for number in range(first, first + count)
    ]


@story("kcat: create, produce, consume in a group, resume after a restart")
def kcat(stage: Stage) -> None:
    lifecycle(stage, "kcat", 1, signal.SIGTERM)


@story("kafka-python: create, produce, consume in a group, resume after a restart")
def kafka_python(stage: Stage) -> None:
    lifecycle(stage, "kafka-python", 3, signal.SIGTERM)


@story("java: create, produce, consume in a group, resume after a restart")
def java(stage: Stage) -> None:
    lifecycle(stage, "java", 3, signal.SIGTERM)


@story("console tools: create, produce, consume in a group, resume after a restart")
def console(stage: Stage) -> None:
    lifecycle(stage, "console", 1, signal.SIGTERM)


@story("kafka-python: resume after the broker was killed")
def kafka_python_killed(stage: Stage) -> None:
    lifecycle(stage, "kafka-python", 3, signal.SIGKILL)


@story("java: resume after the broker was killed")
def java_killed(stage: Stage) -> None:
    lifecycle(stage, "java", 3, signal.SIGKILL)
