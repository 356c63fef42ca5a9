"""Each client moves about in a log: by offset, by time, with pauses."""

from __future__ import annotations

import time

from ..clients.driven import Driven, produce
from ..driver import Driver
from ..processes import Failed
from ..records import Record, by_partition
from ..report import Stage, check, story_of_each_driver

#: Records of each of two partitions, a second apart, in batches.
COUNT, FIRST_MS, STEP_MS, BATCHES = 100, 1_700_000_000_000, 1000, 5
PATIENCE_S = 60
#: More than there is: what comes too much is seen.
POLL_MAX = 1000


@story_of_each_driver("seeks by offset and time, pauses and resumes, begins at the end")
def seeking(stage: Stage, client: Driven) -> None:
    topic = f"seeking-{client.name}"
    client.create_topic(topic, 2)
    driver = client.driver()
    for batch in range(BATCHES):
        numbers = range(batch * COUNT // BATCHES, (batch + 1) * COUNT // BATCHES)
        produce(driver, topic, [dated(number, part) for number in numbers for part in (0, 1)])

    with stage.where_supported():
        lookups(driver, topic)
    driver.open(None, assign=[[topic, 0], [topic, 1]])
    expect(driver, {0: range(COUNT), 1: range(COUNT)})
    with stage.where_supported():
        seeks(driver, topic)
    with stage.where_supported():
        pauses(driver, topic)
    driver.call("close")
    newcomer(driver, topic)
    driver.close()


def dated(number: int, partition: int) -> Record:
    timestamp = FIRST_MS + number * STEP_MS
    return Record(f"{number}".encode(), partition=partition, timestamp=timestamp)


def lookups(driver: Driver, topic: str) -> None:
    found = driver.call("watermarks", topic=topic, partition=1)
    check(found == {"low": 0, "high": COUNT}, f"the watermarks are {found}")
    middle = FIRST_MS + 50 * STEP_MS
    beyond = FIRST_MS + COUNT * STEP_MS
    for timestamp, expected in (
        (0, 0), (middle, 50), (middle - 1, 50), (middle + 1, 51), (beyond, None),
    ):  # fmt: skip
        found = driver.call("offset_for_time", topic=topic, partition=1, timestamp=timestamp)
        check(found["offset"] == expected, f"{timestamp} is at {found['offset']}, not {expected}")


def seeks(driver: Driver, topic: str) -> None:
    timestamp = FIRST_MS + 40 * STEP_MS
    found = driver.call("offset_for_time", topic=topic, partition=1, timestamp=timestamp)
    driver.call("seek", topic=topic, partition=0, offset=70)
    driver.call("seek", topic=topic, partition=1, offset=found["offset"])
    expect(driver, {0: range(70, COUNT), 1: range(40, COUNT)})


def pauses(driver: Driver, topic: str) -> None:
    driver.call("pause", partitions=[[topic, 1]])
    driver.call("seek", topic=topic, partition=0, offset=10)
    produce(driver, topic, [dated(COUNT, 1)])
    expect(driver, {0: range(10, COUNT)})
    came = driver.poll(1, 1000)
    check(not came, f"a paused partition gave {came}")
    driver.call("resume", partitions=[[topic, 1]])
    expect(driver, {1: range(COUNT, COUNT + 1)})


def newcomer(driver: Driver, topic: str) -> None:
    """Whoever begins at the end gets what is written from then on, and nothing before."""
    end = driver.call("watermarks", topic=topic, partition=0)["high"]
    driver.open(None, assign=[[topic, 0]], begin="latest")
    deadline = time.monotonic() + PATIENCE_S
    came: list[Record] = []
    # Where the end is, is looked up at some time after `open`: one of these comes behind it.
    while not came:
        check(time.monotonic() < deadline, "nothing came of what was written")
        produce(driver, topic, [dated(COUNT, 0)])
        came = driver.poll(1, 1000)
    check(came[0].offset >= end, f"the end was at {end}, but {came[0].offset} came")
    driver.call("close")


def expect(driver: Driver, wanted: dict[int, range]) -> None:
    """Polls until as much as is wanted came; it must be exactly that, in the order of the log."""
    count = sum(map(len, wanted.values()))
    came: list[Record] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(came) < count and time.monotonic() < deadline:
        came += driver.poll(POLL_MAX, 500)
    offsets = {
        partition: [record.offset for record in records]
        for partition, records in by_partition(came).items()
    }
    expected = {partition: list(numbers) for partition, numbers in wanted.items()}
    if offsets != expected:
        raise Failed(f"{shown(offsets)} came where {shown(expected)} was due")


def shown(offsets: dict[int, list[int]]) -> str:
    """Offsets by partition, runs of them by their ends."""
    texts = []
    for partition, found in sorted(offsets.items()):
        is_run = found == list(range(found[0], found[-1] + 1))
        texts.append(f"{partition}: {f'{found[0]}…{found[-1]}' if is_run else found}")
    return "; ".join(texts) or "nothing"
