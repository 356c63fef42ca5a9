"""The driver of confluent-kafka, Python's face of librdkafka."""

from __future__ import annotations

import sys
import time
from typing import Any

from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    OffsetSpec,
    ResourceType,
)
from frame import bytes_of, fields_of, headers_of, serve

#: For what the library does in the background before it reports.
ANSWER_S_MAX = 30


class Driver:
    """A method for each request."""

    def __init__(self, bootstrap: str) -> None:
        self.common = {"bootstrap.servers": bootstrap}
        self.admin = AdminClient(self.common)
        self.producer: Producer | None = None
        self.producer_settings: dict = {}
        self.consumer: Consumer | None = None
        #: Where to go on behind what `poll` gave.
        self.positions: dict[tuple[str, int], int] = {}

    # Topics.

    def create_topic(self, topic: str, partitions: int, config: dict) -> None:
        wanted = NewTopic(topic, partitions, config=config)
        only(self.admin.create_topics([wanted], operation_timeout=ANSWER_S_MAX))

    def list_topics(self) -> dict:
        names = self.admin.list_topics(timeout=ANSWER_S_MAX).topics
        return {"topics": [name for name in names if not name.startswith("__")]}

    def describe_topic(self, topic: str) -> dict:
        found = only(self.admin.describe_topics(TopicCollection([topic])))
        return {
            "partitions": [
                {
                    "index": partition.id,
                    "leader": partition.leader.id,
                    "replicas": [node.id for node in partition.replicas],
                    "in_sync": [node.id for node in partition.isr],
                }
                for partition in found.partitions
            ]
        }

    def delete_topic(self, topic: str) -> None:
        only(self.admin.delete_topics([topic], operation_timeout=ANSWER_S_MAX))

    def describe_config(self, topic: str) -> dict:
        found = only(self.admin.describe_configs([ConfigResource(ResourceType.TOPIC, topic)]))
        return {"config": {name: entry.value for name, entry in found.items()}}

    def alter_config(self, topic: str, set: dict) -> None:
        entries = [
            ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
            for name, value in set.items()
        ]
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
        only(self.admin.incremental_alter_configs([resource]))

    def delete_records(self, topic: str, partition: int, before: int) -> dict:
        deleted = only(self.admin.delete_records([TopicPartition(topic, partition, before)]))
        return {"low": deleted.low_watermark}

    # Producing.

    def produce(
        self, topic: str, records: list, compression: str, acks: int, idempotent: bool
    ) -> dict:
        producer = self._producer({
            "compression.type": compression,
            "acks": acks,
            "enable.idempotence": idempotent,
        })
        offsets: list[int | None] = [None] * len(records)
        failures: list[KafkaError] = []

        def deliver(index: int):
            def delivered(error: KafkaError | None, message: Message) -> None:
                if error is not None:
                    failures.append(error)
                else:
                    offsets[index] = message.offset()

            return delivered

        for index, record in enumerate(records):
            dated = {} if record["timestamp"] < 0 else {"timestamp": record["timestamp"]}
            producer.produce(
                topic,
                key=bytes_of(record["key"]),
                value=bytes_of(record["value"]),
                headers=headers_of(record),
                partition=record["partition"],
                on_delivery=deliver(index),
                **dated,
            )
        if producer.flush(120) > 0:
            raise RuntimeError("not everything was delivered in time")
        if failures:
            raise KafkaException(failures[0])
        return {"offsets": offsets}

    def _producer(self, settings: dict) -> Producer:
        if self.producer is None or settings != self.producer_settings:
            self.producer = Producer({**self.common, **settings, "linger.ms": 5})
            self.producer_settings = settings
        return self.producer

    # Consuming.

    def open(
        self,
        group: str | None,
        begin: str,
        config: dict,
        topics: list | None = None,
        assign: list | None = None,
    ) -> None:
        settings = {
            **self.common,
            # The library wants a name even where no group is meant.
            "group.id": group or "no-group",
            "auto.offset.reset": begin,
            "enable.auto.commit": False,
            "check.crcs": True,
        }
        session_ms = config.get("session_timeout_ms")
        if session_ms is not None:
            settings |= {"session.timeout.ms": session_ms, "heartbeat.interval.ms": session_ms // 3}
        self.consumer = Consumer(settings)
        if assign is None:
            self.consumer.subscribe(topics, on_revoke=self._forget, on_lost=self._forget)
        else:
            self.consumer.assign([TopicPartition(*place) for place in assign])

    def poll(self, max: int, timeout_ms: int) -> dict:
        consumer = self._open()
        # The first may be waited for; of the rest, what is there.
        found = consumer.consume(1, timeout_ms / 1000)
        if found and max > 1:
            found += consumer.consume(max - 1, 0)
        records = []
        for message in found:
            if message.error() is not None:
                raise KafkaException(message.error())
            place = (message.topic(), message.partition())
            self.positions[place] = message.offset() + 1
            records.append(
                fields_of(
                    *place,
                    message.offset(),
                    message.timestamp()[1],
                    message.key(),
                    message.value(),
                    message.headers(),
                )
            )
        return {"records": records}

    def _forget(self, _consumer: Consumer, partitions: list) -> None:
        for place in partitions:
            self.positions.pop((place.topic, place.partition), None)

    def assignment(self) -> dict:
        assigned = self._open().assignment()
        return {"partitions": [[place.topic, place.partition] for place in assigned]}

    def seek(self, topic: str, partition: int, offset: int) -> None:
        deadline = time.monotonic() + ANSWER_S_MAX
        while True:
            try:
                return self._open().seek(TopicPartition(topic, partition, offset))
            except KafkaException as error:
                # A partition that was assigned a moment ago is not yet being fetched.
                if error.args[0].code() != KafkaError._STATE or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def pause(self, partitions: list) -> None:
        self._open().pause([TopicPartition(*place) for place in partitions])

    def resume(self, partitions: list) -> None:
        self._open().resume([TopicPartition(*place) for place in partitions])

    def commit(self) -> dict:
        if not self.positions:
            return {"offsets": []}
        offsets = [TopicPartition(*place, offset) for place, offset in self.positions.items()]
        committed = self._open().commit(offsets=offsets, asynchronous=False)
        for outcome in committed:
            if outcome.error is not None:
                raise KafkaException(outcome.error)
        self.positions.clear()
        return {"offsets": [[each.topic, each.partition, each.offset] for each in committed]}

    def close(self) -> None:
        self._open().close()
        self.consumer = None
        self.positions.clear()

    def _open(self) -> Consumer:
        if self.consumer is None:
            raise RuntimeError("no consumer is open")
        return self.consumer

    # Offsets and groups.

    def watermarks(self, topic: str, partition: int) -> dict:
        low = self._offset(topic, partition, OffsetSpec.earliest())
        return {"low": low, "high": self._offset(topic, partition, OffsetSpec.latest())}

    def offset_for_time(self, topic: str, partition: int, timestamp: int) -> dict:
        found = self._offset(topic, partition, OffsetSpec.for_timestamp(timestamp))
        return {"offset": None if found < 0 else found}

    def _offset(self, topic: str, partition: int, which: OffsetSpec) -> int:
        return only(self.admin.list_offsets({TopicPartition(topic, partition): which})).offset

    def committed(self, group: str, topic: str, partition: int) -> dict:
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(topic, partition)])
        (found,) = only(self.admin.list_consumer_group_offsets([asked])).topic_partitions
        if found.error is not None:
            raise KafkaException(found.error)
        return {"offset": None if found.offset < 0 else found.offset}

    def list_groups(self) -> dict:
        listed = self.admin.list_consumer_groups().result(ANSWER_S_MAX)
        if listed.errors:
            raise listed.errors[0]
        return {"groups": [group.group_id for group in listed.valid]}

    def describe_group(self, group: str) -> dict:
        found = only(self.admin.describe_consumer_groups([group]))
        return {
            "state": found.state.name.title().replace("_", ""),
            "members": [
                {
                    "id": member.member_id,
                    "partitions": [
                        [place.topic, place.partition]
                        for place in member.assignment.topic_partitions
                    ],
                }
                for member in found.members
            ],
        }

    def delete_group(self, group: str) -> None:
        only(self.admin.delete_consumer_groups([group]))

    def end(self) -> None:
        if self.consumer is not None:
            self.close()


def only(futures: dict) -> Any:
    """Waits for the one thing that was asked for."""
    (future,) = futures.values()
    return future.result(ANSWER_S_MAX)


serve(Driver(sys.argv[-1]))
