"""What only Java's clients do: their own assignors, static members, refusals in their words."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Callable, Iterator

from ..clients.driven import Driven, produce
from ..driver import Driver, Refused
from ..processes import Failed
from ..records import Record, compare
from ..report import Skipped, Stage, check, story

ASSIGNORS = "org.apache.kafka.clients.consumer"


@contextmanager
def java(stage: Stage, count: int = 1) -> Iterator[list[Driver]]:
    """Drivers of their own; they are killed when the story ends, whatever they are at."""
    client = stage.clients["java"]
    assert isinstance(client, Driven)
    started: list[Driver] = []
    try:
        for _ in range(count):
            started.append(client.driver())
        yield started
    finally:
        for driver in started:
            driver.kill()


def join(driver: Driver, group: str, topic: str, **settings: str) -> None:
    driver.call(
        "open", group=group, topics=[topic], config={}, settings=settings, **{"from": "earliest"}
    )


def partitions(driver: Driver, asked: str = "assignment") -> set[int]:
    return {partition for _, partition in driver.call(asked)["partitions"]}


def poll_until(what: str, drivers: list[Driver], settled: Callable[[], bool]) -> None:
    """Polls all members in turn, since a rebalance needs every one of them."""
    deadline = time.monotonic() + 60
    while not settled():
        if time.monotonic() > deadline:
            raise Failed(f"{what}: assigned are {[partitions(driver) for driver in drivers]}")
        for driver in drivers:
            driver.poll(10, 100)


@story("java: cooperative-sticky members keep what they have when another joins")
def cooperative(stage: Stage) -> None:
    topic, group = "java-cooperative", "java-cooperative-group"
    assignor = {"partition.assignment.strategy": f"{ASSIGNORS}.CooperativeStickyAssignor"}
    with java(stage, 2) as (first, second):
        first.call("create_topic", topic=topic, partitions=6, config={})
        join(first, group, topic, **assignor)
        poll_until("all for the first", [first], lambda: len(partitions(first)) == 6)
        join(second, group, topic, **assignor)
        poll_until(
            "three each",
            [first, second],
            lambda: len(partitions(first)) == len(partitions(second)) == 3,
        )
        taken = first.call("revoked")["partitions"]
        check(len(taken) == 3, f"taken from the first member: {taken}")
        check({partition for _, partition in taken} == partitions(second), f"moved: {taken}")


@story("java: a static member comes back without a rebalance")
def static_membership(stage: Stage) -> None:
    topic, group = "java-static", "java-static-group"
    with java(stage, 3) as (one, two, one_again):
        one.call("create_topic", topic=topic, partitions=4, config={})
        for number, driver in enumerate((one, two)):
            join(driver, group, topic, **{"group.instance.id": f"instance-{number}"})
        poll_until(
            "two each", [one, two], lambda: len(partitions(one)) == len(partitions(two)) == 2
        )
        before = partitions(one)
        two.call("revoked")

        one.kill()
        join(one_again, group, topic, **{"group.instance.id": "instance-0"})
        poll_until("back", [one_again, two], lambda: len(partitions(one_again)) == 2)
        check(partitions(one_again) == before, f"{before} became {partitions(one_again)}")
        taken = two.call("revoked")["partitions"]
        check(taken == [], f"the member that stayed lost {taken}")


@story("java: an idempotent producer writes 20,000 records once each while the broker is killed")
def killed_under_the_producer(stage: Stage) -> None:
    topic, requests, each = "java-killed", 40, 500
    written = [
        [
            Record(b"%06d" % (request * each + number) * 16, partition=number % 3)
            for number in range(each)
        ]
        for request in range(requests)
    ]
    with java(stage) as (driver,), ThreadPoolExecutor(1) as background:
        driver.call("create_topic", topic=topic, partitions=3, config={})
        done = 0

        def write() -> None:
            nonlocal done
            for part in written:
                produce(driver, topic, part)
                done += 1

        writing = background.submit(write)
        for kill_at in (requests // 4, requests // 2):
            while done < kill_at and not writing.done():
                time.sleep(0.001)
            check(not writing.done(), "the producer was done before the broker was killed")
            stage.broker.restart(signal.SIGKILL)
        writing.result()
        marks = [driver.call("watermarks", topic=topic, partition=number) for number in range(3)]
    sent = [record for part in written for record in part]
    check(sum(mark["high"] for mark in marks) == len(sent), f"watermarks: {marks}")
    compare(sent, stage.clients["java"].read(topic, len(sent)))


@story("java: begins by duration, reads committed, names its rack, offers its metrics")
def settings(stage: Stage) -> None:
    topic = "java-settings"
    hour_ms = 3_600_000
    now = int(time.time() * 1000)
    old = [Record(b"old", timestamp=now - 2 * hour_ms)] * 3
    new = [Record(b"new", timestamp=now)] * 3
    with java(stage) as (driver,):
        driver.call("create_topic", topic=topic, partitions=1, config={})
        produce(driver, topic, old + new)
        chosen = {
            "isolation.level": "read_committed",
            "client.rack": "a-rack",
            "enable.metrics.push": "true",
        }
        driver.call(
            "open", group="java-settings-group", topics=[topic], config={}, settings=chosen,
            **{"from": "by_duration:PT1H"},
        )  # fmt: skip
        seen: list[Record] = []
        deadline = time.monotonic() + 30
        while len(seen) < len(new) and time.monotonic() < deadline:
            seen += driver.poll(100, 500)
        check([record.value for record in seen] == [b"new"] * 3, f"read: {seen}")


@story("java: what the broker does not have is refused at once and in words")
def refusals(stage: Stage) -> None:
    if stage.broker.name != "flumen":
        raise Skipped("Apache Kafka has transactions, consumer groups and share groups")
    topic = "java-refusals"
    with java(stage) as (driver,):
        driver.call("create_topic", topic=topic, partitions=1, config={})
        said = refused(driver, "begin_transaction", id="java-refusals-id")
        check("TransactionalIdAuthorizationException" in said, said)

        join(driver, "java-refusals-consumer", topic, **{"group.protocol": "consumer"})
        said = refused(driver, "poll", max=1, timeout_ms=10_000)
        check("does not support the new CONSUMER group protocol" in said, said)
        driver.call("close")

        said = refused(driver, "share", group="java-refusals-share", topic=topic, timeout_ms=2_000)
        check("does not support the share group protocol" in said, said)


def refused(driver: Driver, do: str, **arguments: object) -> str:
    """Asks for what must fail before the library gives up by itself; returns what it said."""
    try:
        driver.call(do, answer_s_max=20, **arguments)
    except Refused as error:
        return str(error)
    raise Failed(f"{do} was not refused")
