"""The driver of kafka-python, a client written from the specification, in pure Python."""

from __future__ import annotations

import sys

from frame import Unsupported, bytes_of, fields_of, headers_of, serve
from kafka import (
    ConsumerRebalanceListener,
    KafkaAdminClient,
    KafkaConsumer,
    KafkaProducer,
    OffsetAndMetadata,
    TopicPartition,
)
from kafka.admin import ConfigResource, ConfigResourceType, OffsetSpec
from kafka.errors import UnknownBrokerIdError, for_code


class Driver(ConsumerRebalanceListener):
    """A method for each request; as a listener it hears which partitions are taken away."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.admin = KafkaAdminClient(bootstrap_servers=bootstrap)
        self.producer: KafkaProducer | None = None
        self.producer_settings: dict = {}
        self.consumer: KafkaConsumer | None = None
        #: Where to go on behind what `poll` gave.
        self.positions: dict[TopicPartition, int] = {}

    # Topics.

    def create_topic(self, topic: str, partitions: int, config: dict) -> None:
        wanted = {"num_partitions": partitions, "replication_factor": -1, "configs": config}
        try:
            self.admin.create_topics({topic: wanted}, wait_for_metadata=True)
        except UnknownBrokerIdError:
            # The controller that it remembers was away when it last looked for brokers, and 3.0.12
            # does not look again (interop/README.md).
            self.admin.close()
            self.admin = KafkaAdminClient(bootstrap_servers=self.bootstrap)
            self.admin.create_topics({topic: wanted}, wait_for_metadata=True)

    def list_topics(self) -> dict:
        found = self.admin.describe_topics()
        return {"topics": [topic["name"] for topic in found if not topic["is_internal"]]}

    def describe_topic(self, topic: str) -> dict:
        (found,) = self.admin.describe_topics([topic])
        raise_for(found["error_code"])
        return {
            "partitions": [
                {
                    "index": partition["partition_index"],
                    "leader": partition["leader_id"],
                    "replicas": partition["replica_nodes"],
                    "in_sync": partition["isr_nodes"],
                }
                for partition in found["partitions"]
            ]
        }

    def delete_topic(self, topic: str) -> None:
        self.admin.delete_topics([topic])

    def describe_config(self, topic: str) -> dict:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        found = self.admin.describe_configs([resource], config_filter="all")["topic"][topic]
        return {"config": {name: setting["value"] for name, setting in found.items()}}

    def alter_config(self, topic: str, set: dict) -> None:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, set)
        outcome = self.admin.alter_configs([resource])["topic"][topic]
        if outcome != "OK":
            raise RuntimeError(outcome)

    def delete_records(self, topic: str, partition: int, before: int) -> dict:
        place = TopicPartition(topic, partition)
        return {"low": self.admin.delete_records({place: before})[place]["low_watermark"]}

    # Producing.

    def produce(
        self, topic: str, records: list, compression: str, acks: int, idempotent: bool
    ) -> dict:
        if any(value is None for record in records for _, value in record["headers"]):
            raise Unsupported("a header's value must be bytes")
        producer = self._producer(
            compression_type=None if compression == "none" else compression,
            acks="all" if acks == -1 else acks,
            enable_idempotence=idempotent,
        )
        sent = [
            producer.send(
                topic,
                key=bytes_of(record["key"]),
                value=bytes_of(record["value"]),
                headers=headers_of(record),
                partition=record["partition"],
                timestamp_ms=None if record["timestamp"] < 0 else record["timestamp"],
            )
            for record in records
        ]
        producer.flush()
        return {"offsets": [delivery.get(timeout=0).offset for delivery in sent]}

    def _producer(self, **settings) -> KafkaProducer:
        if self.producer is None or settings != self.producer_settings:
            self._close_producer()
            self.producer = KafkaProducer(
                bootstrap_servers=self.bootstrap, linger_ms=5, batch_size=1 << 18, **settings
            )
            self.producer_settings = settings
        return self.producer

    def _close_producer(self) -> None:
        if self.producer is not None:
            self.producer.close(timeout=10)
            self.producer = None

    # Consuming.

    def open(
        self,
        group: str | None,
        begin: str,
        config: dict,
        topics: list | None = None,
        assign: list | None = None,
    ) -> None:
        self.consumer = KafkaConsumer(
            bootstrap_servers=self.bootstrap,
            group_id=group,
            auto_offset_reset=begin,
            enable_auto_commit=False,
            **settings_of(config),
        )
        if assign is None:
            self.consumer.subscribe(topics, listener=self)
            # A member must know its topics before it joins. Joining again because it learnt of them
            # later, 3.0.12 forgets why it does if a poll ends meanwhile: it then neither takes its
            # partitions nor beats any more (interop/README.md).
            self.consumer.topics()
        else:
            self.consumer.assign(places_of(assign))

    def poll(self, max: int, timeout_ms: int) -> dict:
        polled = self._open().poll(timeout_ms=timeout_ms, max_records=max)
        found = [record for batch in polled.values() for record in batch]
        for record in found:
            self.positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
        return {
            "records": [
                fields_of(
                    record.topic,
                    record.partition,
                    record.offset,
                    record.timestamp,
                    record.key,
                    record.value,
                    record.headers,
                )
                for record in found
            ]
        }

    def on_partitions_revoked(self, revoked) -> None:
        for place in revoked:
            self.positions.pop(place, None)

    def on_partitions_assigned(self, assigned) -> None:
        pass

    def assignment(self) -> dict:
        return {"partitions": [list(place) for place in self._open().assignment()]}

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self._open().seek(TopicPartition(topic, partition), offset)

    def pause(self, partitions: list) -> None:
        self._open().pause(*places_of(partitions))

    def resume(self, partitions: list) -> None:
        self._open().resume(*places_of(partitions))

    def commit(self) -> dict:
        offsets = dict(self.positions)
        self._open().commit({
            place: OffsetAndMetadata(offset, "", -1) for place, offset in offsets.items()
        })
        self.positions.clear()
        return {"offsets": [[*place, offset] for place, offset in offsets.items()]}

    def close(self) -> None:
        self._open().close(autocommit=False)
        self.consumer = None
        self.positions.clear()

    def _open(self) -> KafkaConsumer:
        if self.consumer is None:
            raise RuntimeError("no consumer is open")
        return self.consumer

    # Offsets and groups.

    def watermarks(self, topic: str, partition: int) -> dict:
        place = TopicPartition(topic, partition)
        low, high = (
            self.admin.list_partition_offsets({place: which})[place].offset
            for which in (OffsetSpec.EARLIEST, OffsetSpec.LATEST)
        )
        return {"low": low, "high": high}

    def offset_for_time(self, topic: str, partition: int, timestamp: int) -> dict:
        place = TopicPartition(topic, partition)
        found = self.admin.list_partition_offsets({place: timestamp})[place].offset
        return {"offset": None if found < 0 else found}

    def committed(self, group: str, topic: str, partition: int) -> dict:
        place = TopicPartition(topic, partition)
        found = self.admin.list_group_offsets({group: [place]})[group].get(place)
        return {"offset": None if found is None or found.offset < 0 else found.offset}

    def list_groups(self) -> dict:
        return {"groups": [group["group_id"] for group in self.admin.list_groups()]}

    def describe_group(self, group: str) -> dict:
        found = self.admin.describe_groups([group])[group]
        if found["error"]:
            raise RuntimeError(found["error"])
        return {
            "state": found["group_state"],
            "members": [
                {
                    "id": member["member_id"],
                    "partitions": [
                        [topic["topic"], partition]
                        for topic in (member["member_assignment"] or {}).get(
                            "assigned_partitions", ()
                        )
                        for partition in topic["partitions"]
                    ],
                }
                for member in found["members"]
            ],
        }

    def delete_group(self, group: str) -> None:
        outcome = self.admin.delete_groups([group])[group]
        if outcome != "OK":
            raise RuntimeError(outcome)

    def end(self) -> None:
        if self.consumer is not None:
            self.close()
        self._close_producer()
        self.admin.close()


def places_of(partitions: list) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for topic, partition in partitions]


def settings_of(config: dict) -> dict:
    """Settings of a consumer; a member beats three times in a session."""
    session_ms = config.get("session_timeout_ms")
    if session_ms is None:
        return {}
    return {"session_timeout_ms": session_ms, "heartbeat_interval_ms": session_ms // 3}


def raise_for(code: int) -> None:
    if code:
        raise for_code(code)


serve(Driver(sys.argv[-1]))
