"""librdkafka while brokers of a cluster are killed, frozen and restarted."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from threading import Event, Thread
from typing import Callable

from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from ..broker import STATE, Flumen, empty_directory
from ..cluster import FlumenCluster
from ..processes import Failed, wait_for
from ..report import Skipped, Stage, check, story

TOPIC = "failures"
PARTITIONS = 6
#: Between two rounds of records, one for each partition.
PAUSE_S = 0.01
#: Longer than the session of a broker, so that the others take over.
FROZEN_S = 4
#: How long a partition may be without an acknowledgement when everything is whole again.
PROGRESS_S_MAX = 30
READ_S_MAX = 30


@story("librdkafka loses, doubles and reorders nothing while brokers fail")
def failures(stage: Stage) -> None:
    if not isinstance(stage.broker, Flumen):
        raise Skipped("a cluster of its own is started once, beside one broker")
    cluster = FlumenCluster(stage.broker.binary, empty_directory(STATE / "run-failures") / "cluster")
    try:
        cluster.start()
        every = ",".join(broker.bootstrap for broker in cluster.brokers)
        admin = AdminClient({"bootstrap.servers": every})
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, len(cluster.brokers))])[TOPIC].result()
        writer = Writer(every)
        for name, fault in FAULTS.items():
            writer.longest_s = 0.0
            fault(cluster)
            cluster.await_health()
            writer.await_progress()
            stage.remarks.append(f"{name}: {writer.longest_s:.1f} s")
        writer.finish()
        compare(writer, read(every))
    finally:
        cluster.discard()


def kill(cluster: FlumenCluster) -> None:
    for broker in cluster.brokers:
        broker.restart(signal.SIGKILL)
        cluster.await_health()


def freeze(cluster: FlumenCluster) -> None:
    for broker in cluster.brokers[:2]:
        broker.process.send_signal(signal.SIGSTOP)
        time.sleep(FROZEN_S)
        broker.process.send_signal(signal.SIGCONT)
        cluster.await_health()


#: Each of them to one broker after the other.
FAULTS: dict[str, Callable[[FlumenCluster], None]] = {
    "kill -9": kill,
    "frozen": freeze,
    "restarted in order": FlumenCluster.restart,
}


class Writer:
    """Writes numbers to every partition until it is told to finish, and notes what is acknowledged."""

    def __init__(self, bootstrap: str) -> None:
        self.producer = Producer({
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "linger.ms": 0,
            "socket.timeout.ms": 3000,
            "request.timeout.ms": 3000,
        })  # fmt: skip
        #: The numbers acknowledged, by partition.
        self.acknowledged: dict[int, list[int]] = defaultdict(list)
        self.refused: list[KafkaError] = []
        self.heard = dict.fromkeys(range(PARTITIONS), time.monotonic())
        #: The longest time in which a partition had no acknowledgement, and then one.
        self.longest_s = 0.0
        self.is_over = Event()
        self.thread = Thread(target=self._write, daemon=True)
        self.thread.start()

    def await_progress(self) -> None:
        """Waits until every partition has acknowledged something since now."""
        since = time.monotonic()
        wait_for(
            "every partition takes records",
            lambda: min(self.heard.values()) > since,
            timeout_s=PROGRESS_S_MAX,
        )

    def finish(self) -> None:
        self.is_over.set()
        self.thread.join()
        left = self.producer.flush(PROGRESS_S_MAX)
        check(left == 0, f"{left} records have neither arrived nor failed")
        check(not self.refused, f"{len(self.refused)} records failed, the first: {self.refused[:1]}")

    def _write(self) -> None:
        number = 0
        while not self.is_over.is_set():
            for partition in range(PARTITIONS):
                value = str(number)
                try:
                    self.producer.produce(
                        TOPIC, value, partition=partition, on_delivery=self._on_delivery
                    )
                except BufferError:
                    continue
                number += 1
            self.producer.poll(0)
            time.sleep(PAUSE_S)

    def _on_delivery(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self.refused.append(error)
            return
        now, partition = time.monotonic(), message.partition()
        self.longest_s = max(self.longest_s, now - self.heard[partition])
        self.heard[partition] = now
        self.acknowledged[partition].append(int(message.value()))


def read(bootstrap: str) -> dict[int, list[int]]:
    """Everything in the topic, by partition."""
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "failures",
        "enable.auto.commit": False,
        "isolation.level": "read_committed",
    })  # fmt: skip
    found: dict[int, list[int]] = defaultdict(list)
    places = [TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)]
    left = sum(consumer.get_watermark_offsets(place, timeout=READ_S_MAX)[1] for place in places)
    consumer.assign(places)
    deadline = time.monotonic() + READ_S_MAX
    while left > 0:
        if time.monotonic() > deadline:
            raise Failed(f"{left} records cannot be read within {READ_S_MAX} s")
        for message in consumer.consume(1000, timeout=1):
            if message.error() is None:
                found[message.partition()].append(int(message.value()))
                left -= 1
    consumer.close()
    return found


def compare(writer: Writer, found: dict[int, list[int]]) -> None:
    """Everything was acknowledged, so what is there must be just that."""
    for partition, acknowledged in writer.acknowledged.items():
        there = found[partition]
        lost = set(acknowledged) - set(there)
        check(not lost, f"partition {partition}: {len(lost)} lost, such as {min(lost, default=0)}")
        check(len(there) == len(set(there)), f"partition {partition}: some are there twice")
        check(there == sorted(there), f"partition {partition}: some are out of order")
    check(sum(map(len, writer.acknowledged.values())) > 0, "nothing was acknowledged")
