"""The driver of aiokafka; its event loop has its own thread, so that members beat while idle."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any, Coroutine

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment
from aiokafka.errors import for_code
from frame import Unsupported, bytes_of, fields_of, headers_of, serve

#: How DescribeConfigs marks a setting that the topic itself has.
TOPIC_SOURCE = 1


class Driver(ConsumerRebalanceListener):
    """A method for each request; as a listener it hears which partitions are taken away."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.admin: AIOKafkaAdminClient = self._await(self._start(AIOKafkaAdminClient))
        self.producer: AIOKafkaProducer | None = None
        self.producer_settings: dict = {}
        self.consumer: AIOKafkaConsumer | None = None
        #: Where to go on behind what `poll` gave.
        self.positions: dict[TopicPartition, int] = {}

    def _await(self, work: Coroutine) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result()

    async def _start(self, kind: type, **settings) -> Any:
        made = kind(bootstrap_servers=self.bootstrap, **settings)
        await made.start()
        return made

    # Topics.

    def create_topic(self, topic: str, partitions: int, config: dict) -> None:
        # The library does not leave the number of replicas to the broker.
        wanted = NewTopic(topic, partitions, 1, topic_configs=config)
        raise_for(self._await(self.admin.create_topics([wanted])).topic_errors[0][1])

    def list_topics(self) -> dict:
        found = self._await(self.admin.describe_topics())
        return {"topics": [topic["topic"] for topic in found if not topic["is_internal"]]}

    def describe_topic(self, topic: str) -> dict:
        (found,) = self._await(self.admin.describe_topics([topic]))
        raise_for(found["error_code"])
        return {
            "partitions": [
                {
                    "index": partition["partition"],
                    "leader": partition["leader"],
                    "replicas": partition["replicas"],
                    "in_sync": partition["isr"],
                }
                for partition in found["partitions"]
            ]
        }

    def delete_topic(self, topic: str) -> None:
        raise_for(self._await(self.admin.delete_topics([topic])).topic_error_codes[0][1])

    def describe_config(self, topic: str) -> dict:
        found = self._config(topic)
        return {"config": {entry["config_names"]: entry["config_value"] for entry in found}}

    def alter_config(self, topic: str, set: dict) -> None:
        # The request that the library knows replaces all settings of the topic.
        settings = {
            entry["config_names"]: entry["config_value"]
            for entry in self._config(topic)
            if entry["config_source"] == TOPIC_SOURCE
        }
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, {**settings, **set})
        (response,) = self._await(self.admin.alter_configs([resource]))
        raise_for(response.resources[0][0])

    def _config(self, topic: str) -> list[dict]:
        resource = ConfigResource(ConfigResourceType.TOPIC, topic)
        (response,) = self._await(self.admin.describe_configs([resource]))
        (found,) = response.to_object()["resources"]
        raise_for(found["error_code"])
        return found["config_entries"]

    def delete_records(self, topic: str, partition: int, before: int) -> dict:
        place = TopicPartition(topic, partition)
        done = self._await(self.admin.delete_records({place: RecordsToDelete(before)}))
        return {"low": done[place]}

    # Producing.

    def produce(
        self, topic: str, records: list, compression: str, acks: int, idempotent: bool
    ) -> dict:
        if any(value is None for record in records for _, value in record["headers"]):
            raise Unsupported("a header's value must be bytes")
        settings = {
            "compression_type": None if compression == "none" else compression,
            "acks": "all" if acks == -1 else acks,
            "enable_idempotence": idempotent,
        }
        return self._await(self._produce(topic, records, settings))

    async def _produce(self, topic: str, records: list, settings: dict) -> dict:
        if self.producer is None or settings != self.producer_settings:
            await self._stop_producer()
            self.producer = await self._start(
                AIOKafkaProducer, linger_ms=5, max_batch_size=1 << 18, **settings
            )
            self.producer_settings = settings
        sent = [
            await self.producer.send(
                topic,
                key=bytes_of(record["key"]),
                value=bytes_of(record["value"]),
                headers=headers_of(record),
                partition=record["partition"],
                timestamp_ms=None if record["timestamp"] < 0 else record["timestamp"],
            )
            for record in records
        ]
        delivered = await asyncio.gather(*sent)
        return {"offsets": [done.offset if done else None for done in delivered]}

    async def _stop_producer(self) -> None:
        if self.producer is not None:
            await self.producer.stop()
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
        settings = {"group_id": group, "auto_offset_reset": begin, "enable_auto_commit": False}
        session_ms = config.get("session_timeout_ms")
        if session_ms is not None:
            settings |= {"session_timeout_ms": session_ms, "heartbeat_interval_ms": session_ms // 3}
        self._await(self._open_consumer(settings, topics, assign))

    async def _open_consumer(
        self, settings: dict, topics: list | None, assign: list | None
    ) -> None:
        self.consumer = await self._start(AIOKafkaConsumer, **settings)
        if assign is None:
            self.consumer.subscribe(topics, listener=self)
        else:
            self.consumer.assign([TopicPartition(*place) for place in assign])

    def poll(self, max: int, timeout_ms: int) -> dict:
        found = self._await(self._poll(max, timeout_ms))
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

    async def _poll(self, max: int, timeout_ms: int) -> list:
        polled = await self._open().getmany(timeout_ms=timeout_ms, max_records=max)
        for place, batch in polled.items():
            self.positions[place] = batch[-1].offset + 1
        return [record for batch in polled.values() for record in batch]

    async def on_partitions_revoked(self, revoked) -> None:
        for place in revoked:
            self.positions.pop(place, None)

    async def on_partitions_assigned(self, assigned) -> None:
        pass

    def assignment(self) -> dict:
        return {"partitions": [list(place) for place in self._open().assignment()]}

    def seek(self, topic: str, partition: int, offset: int) -> None:
        self._now(self._open().seek, TopicPartition(topic, partition), offset)

    def pause(self, partitions: list) -> None:
        self._now(self._open().pause, *(TopicPartition(*place) for place in partitions))

    def resume(self, partitions: list) -> None:
        self._now(self._open().resume, *(TopicPartition(*place) for place in partitions))

    def _now(self, function: Any, *arguments: Any) -> None:
        """Calls a plain function where it may be called: on the loop's thread."""

        async def call() -> None:
            function(*arguments)

        self._await(call())

    def commit(self) -> dict:
        return self._await(self._commit())

    async def _commit(self) -> dict:
        offsets = dict(self.positions)
        if offsets:
            await self._open().commit(offsets)
            # What was taken away meanwhile is gone already.
            for place in offsets:
                self.positions.pop(place, None)
        return {"offsets": [[*place, offset] for place, offset in offsets.items()]}

    def close(self) -> None:
        self._await(self._open().stop())
        self.consumer = None
        self.positions.clear()

    def _open(self) -> AIOKafkaConsumer:
        if self.consumer is None:
            raise RuntimeError("no consumer is open")
        return self.consumer

    # Offsets and groups.

    def watermarks(self, topic: str, partition: int) -> dict:
        place = TopicPartition(topic, partition)
        low = self._ask(lambda consumer: consumer.beginning_offsets([place]))[place]
        return {"low": low, "high": self._ask(lambda asked: asked.end_offsets([place]))[place]}

    def offset_for_time(self, topic: str, partition: int, timestamp: int) -> dict:
        place = TopicPartition(topic, partition)
        found = self._ask(lambda consumer: consumer.offsets_for_times({place: timestamp}))[place]
        return {"offset": None if found is None else found.offset}

    def _ask(self, question: Any) -> Any:
        """Asks the open consumer, or one for the occasion."""

        async def ask() -> Any:
            if self.consumer is not None:
                return await question(self.consumer)
            consumer = await self._start(AIOKafkaConsumer)
            try:
                return await question(consumer)
            finally:
                await consumer.stop()

        return self._await(ask())

    def committed(self, group: str, topic: str, partition: int) -> dict:
        place = TopicPartition(topic, partition)
        found = self._await(self.admin.list_consumer_group_offsets(group, partitions=[place]))
        return {"offset": None if found[place].offset < 0 else found[place].offset}

    def list_groups(self) -> dict:
        return {"groups": [group[0] for group in self._await(self.admin.list_consumer_groups())]}

    def describe_group(self, group: str) -> dict:
        (response,) = self._await(self.admin.describe_consumer_groups([group]))
        (found,) = response.to_object()["groups"]
        raise_for(found["error_code"])
        return {
            "state": found["state"],
            "members": [
                {
                    "id": member["member_id"],
                    "partitions": assigned(member["member_assignment"]),
                }
                for member in found["members"]
            ],
        }

    def delete_group(self, group: str) -> None:
        raise Unsupported("its administration has no such request")

    def end(self) -> None:
        if self.consumer is not None:
            self.close()
        self._await(self._stop_producer())
        self._await(self.admin.close())


def assigned(encoded: bytes) -> list:
    """The partitions in what a leader gave a member; before that it is empty."""
    if not encoded:
        return []
    given = ConsumerProtocolMemberAssignment.decode(encoded)
    return [list(place) for place in given.partitions()]


def raise_for(code: int) -> None:
    if code:
        raise for_code(code)


serve(Driver(sys.argv[-1]))
