"""kafka-python: a client written from the specification, in pure Python."""

from __future__ import annotations

import time
from typing import Iterable

from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import NewTopic

from ..processes import Failed
from ..records import Record

#: Members that try to take what was asked for, one after the other.
MEMBERS_MAX = 3


class KafkaPython:
    name = "kafka-python"
    varied_headers = True

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def create_topic(self, topic: str, partitions: int) -> None:
        with KafkaAdminClient(bootstrap_servers=self.bootstrap) as admin:
            admin.create_topics([NewTopic(topic, partitions, 1)])

    def produce(
        self, topic: str, records: Iterable[Record], *, compression: str = "none"
    ) -> None:
        producer = KafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            linger_ms=5,
            batch_size=1 << 18,
            compression_type=None if compression == "none" else compression,
        )
        try:
            sent = [
                producer.send(
                    topic,
                    key=record.key,
                    value=record.value,
                    headers=list(record.headers),
                    partition=record.partition,
                    timestamp_ms=None if record.timestamp < 0 else record.timestamp,
                )
                for record in records
            ]
            producer.flush(timeout=120)
            for delivery in sent:
                delivery.get(timeout=0)
        finally:
            producer.close(timeout=10)

    def read(self, topic: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        consumer = KafkaConsumer(bootstrap_servers=self.bootstrap, enable_auto_commit=False)
        try:
            partitions = consumer.partitions_for_topic(topic)
            if not partitions:
                raise Failed(f"{topic} has no partitions")
            assigned = [TopicPartition(topic, partition) for partition in sorted(partitions)]
            consumer.assign(assigned)
            consumer.seek_to_beginning(*assigned)
            return _take(consumer, count, timeout_s)
        finally:
            consumer.close()

    def consume(self, topic: str, group: str, count: int, *, timeout_s: float = 60) -> list[Record]:
        # Once in a while a consumer that starts right after the broker leaves a partition out for
        # good, with Apache Kafka too; the next member of the group goes on where it stopped.
        taken: list[Record] = []
        for _ in range(MEMBERS_MAX):
            taken += self._consume_once(topic, group, count - len(taken), timeout_s / MEMBERS_MAX)
            if len(taken) == count:
                break
        return taken

    def _consume_once(
        self, topic: str, group: str, count: int, timeout_s: float
    ) -> list[Record]:
        consumer = KafkaConsumer(
            topic,
            bootstrap_servers=self.bootstrap,
            group_id=group,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            # A broker that has just started may not list every partition yet.
            metadata_max_age_ms=1000,
        )
        try:
            taken = _take(consumer, count, timeout_s)
            following = {record.partition: record.offset + 1 for record in taken}
            consumer.commit({
                TopicPartition(topic, partition): OffsetAndMetadata(offset, "", -1)
                for partition, offset in following.items()
            })
            return taken
        finally:
            consumer.close(autocommit=False)


def _take(consumer: KafkaConsumer, count: int, timeout_s: float) -> list[Record]:
    """Polls until `count` records are there, and no further."""
    taken: list[Record] = []
    deadline = time.monotonic() + timeout_s
    while len(taken) < count and time.monotonic() < deadline:
        polled = consumer.poll(timeout_ms=200, max_records=min(5000, count - len(taken)))
        for batch in polled.values():
            taken.extend(
                Record(
                    found.value,
                    found.key,
                    tuple(found.headers),
                    found.partition,
                    found.offset,
                    found.timestamp,
                )
                for found in batch
            )
    return taken
