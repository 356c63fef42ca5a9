"""What is asked of both brokers. A scene speaks to one broker; its answers are compared later."""

from __future__ import annotations

import struct
import time
import uuid
from typing import Any, Callable

from kafka.record.default_records import DefaultRecordBatchBuilder

from ..processes import Failed
from .asker import Asker

Scene = Callable[[Asker], None]
SCENES: dict[str, Scene] = {}


def scene(told: Scene) -> Scene:
    """Registers a scene under its name."""
    SCENES[told.__name__.replace("_", " ")] = told
    return told


def warm_up(asker: Asker) -> None:
    """Waits until coordinators and producer ids are there: what comes first is timing."""
    identity = {"transactional_id": None, "transaction_timeout_ms": 60_000}
    identity |= {"producer_id": -1, "producer_epoch": -1}
    for _ in range(300):
        found = asker.send("FindCoordinator", 4, key_type=0, coordinator_keys=["g"])
        # Every partition of the offsets topic has to be loaded.
        described = asker.send("DescribeGroups", 5, groups=[f"warm-{n}" for n in range(200)])
        producer = asker.send("InitProducerId", 4, **identity)
        errors = {found["coordinators"][0]["error_code"], producer["error_code"]}
        errors |= {group["error_code"] for group in described["groups"]}
        if errors == {0}:
            asker.close()
            return
        time.sleep(0.1)
    raise Failed(f"not warm after 30 s: {errors}")


def create(asker: Asker, name: str, partitions: int = 1, **configs: str) -> uuid.UUID:
    """Creates a topic without remembering the answer; gives its id."""
    settings = [{"name": key.replace("_", "."), "value": value} for key, value in configs.items()]
    topic = {
        "name": name, "num_partitions": partitions, "replication_factor": 1,
        "assignments": [], "configs": settings,
    }  # fmt: skip
    answer = asker.send("CreateTopics", 7, topics=[topic], timeout_ms=10_000, validate_only=False)
    return answer["topics"][0]["topic_id"]


def batch(*values: bytes, producer_id: int = -1, epoch: int = -1, sequence: int = -1) -> bytes:
    """A batch of records with fixed timestamps, so that both brokers get the same bytes."""
    builder = DefaultRecordBatchBuilder(2, 0, False, producer_id, epoch, sequence, 1 << 20)
    for index, value in enumerate(values):
        builder.append(index, 1_700_000_000_000 + index, b"key", value, [])
    return bytes(builder.build())


def damaged(records: bytes, position: int) -> bytes:
    """The batch with one byte changed."""
    changed = bytearray(records)
    changed[position] ^= 1
    return bytes(changed)


def produce(asker: Asker, topic: str, topic_id: uuid.UUID, records: bytes | None, **more: Any):
    """The fields of a produce request to one partition."""
    partition = {"index": more.get("partition", 0), "records": records}
    return {
        "transactional_id": more.get("transactional_id"),
        "acks": more.get("acks", -1),
        "timeout_ms": 5000,
        "topic_data": [{"name": topic, "topic_id": topic_id, "partition_data": [partition]}],
    }


@scene
def creating_topics(asker: Asker) -> None:
    def topic(name: str, **more: Any) -> dict[str, Any]:
        fields = {"num_partitions": 1, "replication_factor": 1, "assignments": [], "configs": []}
        return {"name": name} | fields | more

    for version in asker.versions("CreateTopics"):
        prefix = f"created-{version}"
        requests = {
            "new": [topic(f"{prefix}-a"), topic(f"{prefix}-b", num_partitions=3)],
            "again": [topic(f"{prefix}-a")],
            "twice in one request": [topic(f"{prefix}-c"), topic(f"{prefix}-c")],
            "bad names": [topic(name) for name in ("", ".", "..", "a/b", "x" * 250, "ä")],
            "no partitions": [topic(f"{prefix}-d", num_partitions=0)],
            "too many replicas": [topic(f"{prefix}-e", replication_factor=3)],
            "no replicas": [topic(f"{prefix}-f", replication_factor=0)],
            "unknown config": [topic(f"{prefix}-g", configs=[{"name": "no.such", "value": "1"}])],
            "bad config": [
                topic(f"{prefix}-h", configs=[{"name": "retention.ms", "value": "soon"}])
            ],
            "assigned": [
                topic(
                    f"{prefix}-i", num_partitions=-1, replication_factor=-1,
                    assignments=[{"partition_index": 0, "broker_ids": [1]}],
                )
            ],
            "assigned to nobody": [
                topic(
                    f"{prefix}-j", num_partitions=-1, replication_factor=-1,
                    assignments=[{"partition_index": 0, "broker_ids": [77]}],
                )
            ],
        }  # fmt: skip
        for label, topics in requests.items():
            answer = asker.send(
                "CreateTopics", version, topics=topics, timeout_ms=10_000, validate_only=False
            )
            # Kafka sorts by no rule; configs are compared by describing them.
            rows = [
                (row["name"], row["error_code"], row.get("num_partitions"))
                for row in answer["topics"]
            ]
            asker.note(f"{label}: CreateTopics v{version}", sorted(rows))
        dry = topic(f"{prefix}-dry")
        fields = {"topics": [dry], "timeout_ms": 10_000, "validate_only": True}
        answer = asker.send("CreateTopics", version, **fields)
        asker.note(f"validate only v{version}", answer["topics"][0]["error_code"])


@scene
def metadata_of_topics(asker: Asker) -> None:
    topic_id = create(asker, "meta", 3)
    for version in asker.versions("Metadata"):
        wanted = {
            "one": [{"name": "meta", "topic_id": uuid.UUID(int=0)}],
            "bad name": [{"name": "a/b", "topic_id": uuid.UUID(int=0)}],
        }
        if version >= 4:  # Earlier ones cannot say that asking shall not create the topic.
            wanted["missing"] = [{"name": "meta-missing", "topic_id": uuid.UUID(int=0)}]
        if version >= 12:
            wanted["by id"] = [{"name": None, "topic_id": topic_id}]
            wanted["unknown id"] = [{"name": None, "topic_id": uuid.UUID(int=12345)}]
        for label, topics in wanted.items():
            asker.ask(
                label, "Metadata", version, topics=topics, allow_auto_topic_creation=False,
                include_cluster_authorized_operations=True,
                include_topic_authorized_operations=True,
            )  # fmt: skip
        if version >= 1:
            answer = asker.send(
                "Metadata", version, topics=[], allow_auto_topic_creation=False
            )
            asker.note(f"an empty list v{version}", answer["topics"])


@scene
def deleting_topics_and_adding_partitions(asker: Asker) -> None:
    for version in asker.versions("CreatePartitions"):
        create(asker, f"parts-{version}", 2)
        for label, name, count in [
            ("more", f"parts-{version}", 4), ("fewer", f"parts-{version}", 1),
            ("as many", f"parts-{version}", 4), ("missing", "parts-missing", 4),
        ]:  # fmt: skip
            topics = [{"name": name, "count": count, "assignments": None}]
            asker.ask(
                label, "CreatePartitions", version, topics=topics, timeout_ms=10_000,
                validate_only=False,
            )  # fmt: skip
    for version in asker.versions("DeleteTopics"):
        create(asker, f"gone-{version}")
        for label in ("first", "again"):
            asker.ask(
                label, "DeleteTopics", version, topic_names=[f"gone-{version}"],
                topics=[{"name": f"gone-{version}", "topic_id": uuid.UUID(int=0)}],
                timeout_ms=10_000,
            )  # fmt: skip
        if version >= 6:
            unknown = [{"name": None, "topic_id": uuid.UUID(int=999)}]
            asker.ask("unknown id", "DeleteTopics", version, topics=unknown, timeout_ms=10_000)


@scene
def producing(asker: Asker) -> None:
    topic_id = create(asker, "produced", 2)
    good = batch(b"one", b"two")
    unknown = uuid.UUID(int=4711)
    for version in asker.versions("Produce"):
        cases = {
            "good": produce(asker, "produced", topic_id, good),
            "acks of the leader": produce(asker, "produced", topic_id, good, acks=1),
            "acks of nobody known": produce(asker, "produced", topic_id, good, acks=2),
            "missing topic": produce(asker, "produce-missing", unknown, good),
            "missing partition": produce(asker, "produced", topic_id, good, partition=9),
            "bad checksum": produce(asker, "produced", topic_id, damaged(good, len(good) - 1)),
            "old format": produce(asker, "produced", topic_id, damaged(good, 16)),
            "no records": produce(asker, "produced", topic_id, b""),
            "two batches": produce(asker, "produced", topic_id, good + good),
            "cut short": produce(asker, "produced", topic_id, good[:-1]),
            "wrong count": produce(asker, "produced", topic_id, recounted(good, 7)),
        }
        for label, fields in cases.items():
            asker.ask(label, "Produce", version, **fields)


def recounted(records: bytes, count: int) -> bytes:
    """The batch with another record count, and a checksum that fits."""
    changed = bytearray(records)
    changed[57:61] = struct.pack(">i", count)
    changed[17:21] = struct.pack(">I", crc32c(bytes(changed[21:])))
    return bytes(changed)


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit: the batches are small."""
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
    return value ^ 0xFFFFFFFF


@scene
def producing_idempotently(asker: Asker) -> None:
    topic_id = create(asker, "idempotent")
    for version in asker.versions("InitProducerId", last=5):
        asker.ask(
            "no transactional id", "InitProducerId", version, transactional_id=None,
            transaction_timeout_ms=60_000, producer_id=-1, producer_epoch=-1,
        )  # fmt: skip
    answer = asker.send(
        "InitProducerId", 4, transactional_id=None, transaction_timeout_ms=60_000,
        producer_id=-1, producer_epoch=-1,
    )  # fmt: skip
    identity, version = answer["producer_id"], asker.versions("Produce")[-1]
    steps = [
        ("first", 0, 0), ("repeated", 0, 0), ("next", 0, 2), ("a gap", 0, 9),
        ("an old epoch", -1, 0), ("repeated later", 0, 0),
    ]  # fmt: skip
    for label, epoch, sequence in steps:
        records = batch(b"a", b"b", producer_id=identity, epoch=epoch, sequence=sequence)
        fields = produce(asker, "idempotent", topic_id, records)
        asker.ask(label, "Produce", version, **fields)


@scene
def fetching(asker: Asker) -> None:
    topic_id = create(asker, "fetched", 2)
    version = asker.versions("Produce")[-1]
    for _ in range(3):
        asker.send("Produce", version, **produce(asker, "fetched", topic_id, batch(b"x", b"y")))

    def fetch(topic: str, identity: uuid.UUID, offset: int, **more: Any) -> dict[str, Any]:
        partition = {
            "partition": more.get("partition", 0), "current_leader_epoch": more.get("epoch", -1),
            "fetch_offset": offset, "last_fetched_epoch": -1, "log_start_offset": -1,
            "partition_max_bytes": more.get("size", 1 << 20),
        }  # fmt: skip
        return {
            "replica_id": -1, "max_wait_ms": 0, "min_bytes": 0, "max_bytes": 1 << 20,
            "isolation_level": more.get("isolation", 0), "session_id": 0, "session_epoch": -1,
            "topics": [{"topic": topic, "topic_id": identity, "partitions": [partition]}],
            "forgotten_topics_data": [], "rack_id": "",
        }  # fmt: skip

    unknown = uuid.UUID(int=4712)
    for version in asker.versions("Fetch"):
        cases = {
            "the start": fetch("fetched", topic_id, 0),
            "inside a batch": fetch("fetched", topic_id, 3),
            "one byte": fetch("fetched", topic_id, 0, size=1),
            "the end": fetch("fetched", topic_id, 6),
            "past the end": fetch("fetched", topic_id, 7),
            "before the start": fetch("fetched", topic_id, -5),
            "committed only": fetch("fetched", topic_id, 0, isolation=1),
            "an empty partition": fetch("fetched", topic_id, 0, partition=1),
            "missing partition": fetch("fetched", topic_id, 0, partition=9),
            "missing topic": fetch("fetch-missing", unknown, 0),
            "a newer epoch": fetch("fetched", topic_id, 0, epoch=99),
        }
        for label, fields in cases.items():
            asker.ask(label, "Fetch", version, **fields)
        bad_session = fetch("fetched", topic_id, 0) | {"session_id": 424242, "session_epoch": 5}
        asker.ask("unknown session", "Fetch", version, **bad_session)


@scene
def offsets_by_time(asker: Asker) -> None:
    topic_id = create(asker, "timed", 1)
    version = asker.versions("Produce")[-1]
    values = [b"%d" % number for number in range(5)]
    asker.send("Produce", version, **produce(asker, "timed", topic_id, batch(*values)))
    for version in asker.versions("ListOffsets"):
        times = [-1, -2, 1_700_000_000_000, 1_700_000_000_003, 1_700_000_000_005, 0]
        times += [-3] if version >= 7 else []
        for time in times:
            for topic, partition in [("timed", 0), ("timed", 9), ("timed-missing", 0)]:
                place = {
                    "partition_index": partition, "current_leader_epoch": -1, "timestamp": time,
                }  # fmt: skip
                asker.ask(
                    f"{topic}-{partition} at {time}", "ListOffsets", version, replica_id=-1,
                    isolation_level=0, topics=[{"name": topic, "partitions": [place]}],
                    timeout_ms=5000,
                )  # fmt: skip
    for version in asker.versions("OffsetForLeaderEpoch"):
        for topic, partition, current, epoch in [
            ("timed", 0, -1, 0), ("timed", 0, 0, 0), ("timed", 0, -1, 5), ("timed", 0, 7, 0),
            ("timed", 9, -1, 0), ("timed-missing", 0, -1, 0),
        ]:  # fmt: skip
            place = {"partition": partition, "current_leader_epoch": current, "leader_epoch": epoch}
            asker.ask(
                f"{topic}-{partition} epoch {epoch}, now {current}", "OffsetForLeaderEpoch",
                version, replica_id=-1, topics=[{"topic": topic, "partitions": [place]}],
            )  # fmt: skip


@scene
def deleting_records(asker: Asker) -> None:
    topic_id = create(asker, "trimmed")
    produced = produce(asker, "trimmed", topic_id, batch(*[b"v"] * 10))
    asker.send("Produce", asker.versions("Produce")[-1], **produced)
    for version in asker.versions("DeleteRecords"):
        for topic, partition, offset in [
            ("trimmed", 0, 2 + version), ("trimmed", 0, 1), ("trimmed", 0, 99), ("trimmed", 0, -2),
            ("trimmed", 9, 1), ("trimmed-missing", 0, 1),
        ]:  # fmt: skip
            place = {"partition_index": partition, "offset": offset}
            asker.ask(
                f"{topic}-{partition} before {offset}", "DeleteRecords", version,
                topics=[{"name": topic, "partitions": [place]}], timeout_ms=5000,
            )  # fmt: skip


@scene
def configs(asker: Asker) -> None:
    create(asker, "configured", 1, retention_ms="123456", cleanup_policy="compact")
    for version in asker.versions("DescribeConfigs"):
        for label, kind, name in [
            ("topic", 2, "configured"), ("missing topic", 2, "configured-missing"),
            ("bad kind", 77, "x"), ("missing broker", 4, "77"), ("no broker id", 4, "one"),
        ]:  # fmt: skip
            resource = {"resource_type": kind, "resource_name": name, "configuration_keys": None}
            answer = asker.send(
                "DescribeConfigs", version, resources=[resource], include_synonyms=True,
                include_documentation=False,
            )  # fmt: skip
            row = answer["results"][0]
            asker.note(f"{label} error v{version}", row["error_code"])
            described = {
                config["name"]: (
                    config["value"], config.get("config_type"), config["is_sensitive"],
                    config["read_only"],
                )
                for config in row["configs"]
            }  # fmt: skip
            asker.note(f"{label} v{version}", described if kind == 2 else None)
    for version in asker.versions("IncrementalAlterConfigs"):
        for label, name, operation, value in [
            ("set", "retention.ms", 0, "777"), ("bad value", "retention.ms", 0, "soon"),
            ("unknown", "no.such", 0, "1"), ("delete", "retention.ms", 1, None),
            ("append", "cleanup.policy", 2, "delete"),
            ("append to a number", "retention.ms", 2, "1"),
            ("subtract", "cleanup.policy", 3, "delete"),
            ("unknown operation", "retention.ms", 9, "1"),
        ]:  # fmt: skip
            config = {"name": name, "config_operation": operation, "value": value}
            resource = {"resource_type": 2, "resource_name": "configured", "configs": [config]}
            asker.ask(
                label, "IncrementalAlterConfigs", version, resources=[resource], validate_only=False
            )
    for version in asker.versions("AlterConfigs"):
        for label, name, value in [
            ("replace", "retention.ms", "888"), ("bad value", "segment.bytes", "1"),
            ("unknown", "no.such", "1"),
        ]:  # fmt: skip
            resource = {
                "resource_type": 2, "resource_name": "configured",
                "configs": [{"name": name, "value": value}],
            }  # fmt: skip
            asker.ask(label, "AlterConfigs", version, resources=[resource], validate_only=False)


@scene
def a_group_of_one(asker: Asker) -> None:
    create(asker, "grouped", 2)
    for version in asker.versions("FindCoordinator"):
        fields = {"key": "g", "key_type": 0, "coordinator_keys": ["g", "h"]}
        asker.ask("group", "FindCoordinator", version, **fields)
    for version in asker.versions("JoinGroup"):
        group = f"group-{version}"
        joining = {
            "group_id": group, "session_timeout_ms": 10_000, "rebalance_timeout_ms": 10_000,
            "member_id": "", "group_instance_id": None, "protocol_type": "consumer",
            "protocols": [{"name": "range", "metadata": b"\x00\x01"}], "reason": None,
        }  # fmt: skip
        answer = asker.ask("first", "JoinGroup", version, **joining)
        if answer["error_code"] == 79:
            joining["member_id"] = answer["member_id"]
            answer = asker.ask("with the id given", "JoinGroup", version, **joining)
        member, generation = answer["member_id"], answer["generation_id"]
        asker.note(f"leads v{version}", answer["leader"] == member)
        other = joining | {"protocols": [{"name": "unknown", "metadata": b""}], "member_id": ""}
        asker.ask("no common protocol", "JoinGroup", version, **other)
        asker.ask(
            "unknown member", "JoinGroup", version, **(joining | {"member_id": "nobody-1"})
        )
        asker.ask("no group id", "JoinGroup", version, **(joining | {"group_id": ""}))
        short = joining | {"session_timeout_ms": 1}
        asker.ask("session too short", "JoinGroup", version, **short)
        run_group(asker, group, member, generation)


def run_group(asker: Asker, group: str, member: str, generation: int) -> None:
    """What a member does and what strangers try, with the newest version of each API."""
    identity = {"group_id": group, "generation_id": generation, "member_id": member}
    more = {"group_instance_id": None, "protocol_type": "consumer", "protocol_name": "range"}
    assignment = [{"member_id": member, "assignment": b"\x00\x01\x02"}]
    strangers = {
        "member": {}, "stranger": {"member_id": "nobody-2"},
        "old generation": {"generation_id": generation - 1}, "no group": {"group_id": "no-group"},
    }  # fmt: skip
    for label, wrong in strangers.items():
        fields = identity | more | {"assignments": assignment} | wrong
        asker.ask(label, "SyncGroup", asker.versions("SyncGroup")[-1], **fields)
    for version in asker.versions("Heartbeat"):
        for label, wrong in strangers.items():
            fields = identity | {"group_instance_id": None} | wrong
            asker.ask(label, "Heartbeat", version, **fields)
    for version in asker.versions("OffsetCommit", last=9):
        for label, wrong in strangers.items():
            commit_as(asker, label, version, identity | wrong)
    for version in asker.versions("LeaveGroup"):
        leaving = {"member_id": "nobody-3", "group_instance_id": None, "reason": None}
        asker.ask(
            "stranger", "LeaveGroup", version, group_id=group, member_id="nobody-3",
            members=[leaving],
        )  # fmt: skip
    leaving = {"member_id": member, "group_instance_id": None, "reason": None}
    last = asker.versions("LeaveGroup")[-1]
    asker.ask("member", "LeaveGroup", last, group_id=group, members=[leaving])


def commit_as(asker: Asker, label: str, version: int, identity: dict[str, Any]) -> None:
    partitions = [
        {
            "partition_index": index, "committed_offset": 5, "committed_leader_epoch": -1,
            "committed_metadata": "m", "commit_timestamp": -1,
        }
        for index in (0, 9)
    ]  # fmt: skip
    fields = {
        "group_id": identity["group_id"], "member_id": identity["member_id"],
        "generation_id_or_member_epoch": identity["generation_id"], "group_instance_id": None,
        "retention_time_ms": -1, "topics": [{"name": "grouped", "partitions": partitions}],
    }  # fmt: skip
    asker.ask(label, "OffsetCommit", version, **fields)


@scene
def offsets_of_groups(asker: Asker) -> None:
    create(asker, "committed", 2)
    group = "plain-offsets"
    simple = {"group_id": group, "member_id": "", "generation_id": -1}
    for version in asker.versions("OffsetCommit", last=9):
        create(asker, "grouped", 2)
        commit_as(asker, "without a member", version, simple)
    for version in asker.versions("OffsetFetch", last=9):
        for label, name, topics in [
            ("one topic", group, [{"name": "grouped", "partition_indexes": [0, 1, 9]}]),
            ("unknown group", "no-such-group", [{"name": "grouped", "partition_indexes": [0]}]),
        ]:
            asker.ask(
                label, "OffsetFetch", version, group_id=name, topics=topics, require_stable=False,
                groups=[{"group_id": name, "topics": topics}],
            )  # fmt: skip
        if version >= 2:
            everything = {"group_id": group, "topics": None}
            asker.ask(
                "all topics", "OffsetFetch", version, group_id=group, topics=None,
                groups=[everything], require_stable=False,
            )  # fmt: skip
    for version in asker.versions("DescribeGroups"):
        fields = {"groups": [group, "no-such-group"], "include_authorized_operations": True}
        asker.ask("groups", "DescribeGroups", version, **fields)
    for version in asker.versions("ListGroups"):
        answer = asker.send("ListGroups", version, states_filter=[], types_filter=[])
        asker.note(
            f"listed v{version}",
            [row for row in sorted(answer["groups"], key=str) if row["group_id"] == group],
        )
    for version in asker.versions("OffsetDelete"):
        topics = [{"name": "grouped", "partitions": [{"partition_index": 0}]}]
        asker.ask("group", "OffsetDelete", version, group_id=group, topics=topics)
        asker.ask("unknown group", "OffsetDelete", version, group_id="no-such", topics=topics)
    for version in asker.versions("DeleteGroups"):
        asker.ask("unknown", "DeleteGroups", version, groups_names=["no-such-group"])
    asker.ask("known", "DeleteGroups", 2, groups_names=[group])
    asker.ask("again", "DeleteGroups", 2, groups_names=[group])


@scene
def the_cluster(asker: Asker) -> None:
    topic_id = create(asker, "inspected", 2)
    records = produce(asker, "inspected", topic_id, batch(b"x"))
    asker.send("Produce", asker.versions("Produce")[-1], **records)
    for version in asker.versions("DescribeCluster"):
        asker.ask(
            "cluster", "DescribeCluster", version, include_cluster_authorized_operations=True,
            endpoint_type=1,
        )  # fmt: skip
    for version in asker.versions("DescribeQuorum", last=1):
        topics = [{"topic_name": "__cluster_metadata", "partitions": [{"partition_index": 0}]}]
        asker.ask("quorum", "DescribeQuorum", version, topics=topics)
    for version in asker.versions("DescribeLogDirs"):
        topics = [{"topic": "inspected", "partitions": [0, 1, 9]}]
        asker.ask("dirs", "DescribeLogDirs", version, topics=topics)
    for version in asker.versions("DescribeProducers"):
        topics = [
            {"name": "inspected", "partition_indexes": [0, 9]},
            {"name": "inspected-missing", "partition_indexes": [0]},
        ]
        asker.ask("producers", "DescribeProducers", version, topics=topics)
    for version in asker.versions("DescribeTopicPartitions"):
        for label, names in [("one", ["inspected"]), ("missing", ["inspected-missing"])]:
            asker.ask(
                label, "DescribeTopicPartitions", version,
                topics=[{"name": name} for name in names], response_partition_limit=100,
                cursor=None,
            )  # fmt: skip
    for version in asker.versions("ElectLeaders"):
        for label, name, partition in [
            ("preferred", "inspected", 0), ("missing", "inspected-missing", 0),
            ("missing partition", "inspected", 9),
        ]:  # fmt: skip
            topics = [{"topic": name, "partitions": [partition]}]
            asker.ask(
                label, "ElectLeaders", version, election_type=0, topic_partitions=topics,
                timeout_ms=5000,
            )  # fmt: skip
