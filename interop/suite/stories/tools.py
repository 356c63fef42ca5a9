"""Apache Kafka's administration tools, each asked for what people ask of it."""

from __future__ import annotations

import json
import re
from typing import Callable

from ..records import Record
from ..report import Stage, check, story
from ..toolbox import Toolbox, toolbox


def story_of_tools(name: str) -> Callable[[Callable[[Stage, Toolbox], None]], None]:
    """Registers a function as a story that is given the tools beside the stage."""

    def register(told: Callable[[Stage, Toolbox], None]) -> None:
        @story(name)
        def with_tools(stage: Stage) -> None:
            with toolbox(stage.bootstrap, stage.work / "tools.log") as tools:
                told(stage, tools)

    return register


def tool(tools: Toolbox, name: str, *words: str) -> str:
    """Runs a tool and returns what it said; it must exit 0."""
    said = tools.run(name, "--bootstrap-server", tools.bootstrap, *words)
    check(said.code == 0, f"{name} {' '.join(words)} exited with {said.code}:\n{said.text}")
    return said.text


def refused(tools: Toolbox, name: str, *words: str) -> str:
    """Runs a tool that must fail, and returns what it said."""
    said = tools.run(name, "--bootstrap-server", tools.bootstrap, *words)
    check(said.code != 0, f"{name} {' '.join(words)} was not refused:\n{said.text}")
    return said.text


@story_of_tools("kafka-topics: create, list, describe, add partitions, delete")
def topics(stage: Stage, tools: Toolbox) -> None:
    topic = "tools-topics"
    create = ("--create", "--topic", topic, "--partitions", "2")
    tool(tools, "TopicCommand", *create, "--config", "retention.ms=3600000")
    check("already exists" in refused(tools, "TopicCommand", *create), "a second create")
    check(topic in tool(tools, "TopicCommand", "--list").split(), "not listed")

    described = tool(tools, "TopicCommand", "--describe", "--topic", topic)
    check("PartitionCount: 2" in described, described)
    check("retention.ms=3600000" in described, described)

    tool(tools, "TopicCommand", "--alter", "--topic", topic, "--partitions", "5")
    described = tool(tools, "TopicCommand", "--describe", "--topic", topic)
    check("PartitionCount: 5" in described, described)
    check(described.count("Leader: ") == 5, described)

    tool(tools, "TopicCommand", "--delete", "--topic", topic)
    check(topic not in tool(tools, "TopicCommand", "--list").split(), "still listed")
    said = refused(tools, "TopicCommand", "--create", "--topic", "no/slashes")
    check("is invalid" in said or "illegal" in said, said)


@story_of_tools("kafka-configs: describe and alter a topic's settings")
def configs(stage: Stage, tools: Toolbox) -> None:
    topic = "tools-configs"
    stage.clients["kafka-python"].create_topic(topic, 1)
    entity = ("--entity-type", "topics", "--entity-name", topic)
    tool(tools, "ConfigCommand", "--alter", *entity, "--add-config", "segment.bytes=2097152")
    described = tool(tools, "ConfigCommand", "--describe", *entity)
    check("segment.bytes=2097152" in described, described)
    described = tool(tools, "ConfigCommand", "--describe", "--all", *entity)
    check("cleanup.policy=delete" in described, described)
    tool(tools, "ConfigCommand", "--alter", *entity, "--delete-config", "segment.bytes")
    described = tool(tools, "ConfigCommand", "--describe", *entity)
    check("segment.bytes" not in described, described)
    said = refused(tools, "ConfigCommand", "--alter", *entity, "--add-config", "retention.ms=x")
    check("retention.ms" in said, said)


@story_of_tools("kafka-consumer-groups: list, describe with lag, reset, delete")
def consumer_groups(stage: Stage, tools: Toolbox) -> None:
    topic, group = "tools-groups", "tools-groups-group"
    client = stage.clients["kafka-python"]
    client.create_topic(topic, 1)
    client.produce(topic, [Record(f"{number}".encode()) for number in range(100)])
    client.consume(topic, group, 40)

    command = "consumer.group.ConsumerGroupCommand"
    check(group in tool(tools, command, "--list").split(), "the group is not listed")
    described = tool(tools, command, "--describe", "--group", group)
    row = re.search(rf"{group}\s+{topic}\s+0\s+(\d+)\s+(\d+)\s+(\d+)", described)
    check(row is not None and row.groups() == ("40", "100", "60"), described)
    state = tool(tools, command, "--describe", "--group", group, "--state")
    check("Empty" in state, state)

    reset = ("--reset-offsets", "--group", group, "--topic", topic, "--execute")
    tool(tools, command, *reset, "--to-offset", "90")
    check(len(client.consume(topic, group, 10)) == 10, "ten records after the reset")
    tool(tools, command, *reset, "--to-earliest")
    first = client.consume(topic, group, 1)
    check(first[0].offset == 0, f"after --to-earliest the group began at {first[0].offset}")

    tool(tools, command, "--delete-offsets", "--group", group, "--topic", topic)
    tool(tools, command, "--delete", "--group", group)
    check(group not in tool(tools, command, "--list").split(), "the group is still listed")


@story_of_tools("kafka-get-offsets and kafka-delete-records")
def offsets(stage: Stage, tools: Toolbox) -> None:
    topic = "tools-offsets"
    client = stage.clients["kafka-python"]
    client.create_topic(topic, 2)
    dated = [
        Record(f"{number}".encode(), partition=number % 2, timestamp=1_700_000_000_000 + number)
        for number in range(200)
    ]
    client.produce(topic, dated)

    def asked(time: str) -> list[str]:
        return tool(tools, "GetOffsetShell", "--topic", topic, "--time", time).split()

    check(asked("-1") == [f"{topic}:0:100", f"{topic}:1:100"], f"latest: {asked('-1')}")
    check(asked("-2") == [f"{topic}:0:0", f"{topic}:1:0"], f"earliest: {asked('-2')}")
    check(asked("-3") == [f"{topic}:0:99", f"{topic}:1:99"], f"max timestamp: {asked('-3')}")
    by_time = asked("1700000000100")
    check(by_time == [f"{topic}:0:50", f"{topic}:1:50"], f"by time: {by_time}")

    request = stage.work / "delete-records.json"
    wanted = [{"topic": topic, "partition": 0, "offset": 30}]
    request.write_text(json.dumps({"partitions": wanted, "version": 1}))
    said = tool(tools, "DeleteRecordsCommand", "--offset-json-file", str(request))
    check("low_watermark: 30" in said, said)
    check(asked("-2") == [f"{topic}:0:30", f"{topic}:1:0"], f"after the delete: {asked('-2')}")


@story_of_tools("kafka-broker-api-versions, kafka-log-dirs, kafka-cluster, kafka-metadata-quorum")
def inspection(stage: Stage, tools: Toolbox) -> None:
    versions = tool(tools, "BrokerApiVersionsCommand")
    for api in ("Produce(0)", "Fetch(1)", "ApiVersions(18)", "InitProducerId(22)"):
        check(api in versions, f"{api} is not listed:\n{versions}")

    topic = "tools-inspection"
    client = stage.clients["kafka-python"]
    client.create_topic(topic, 1)
    client.produce(topic, [Record(b"x" * 1000)] * 10)
    listed = tool(tools, "LogDirsCommand", "--describe", "--topic-list", topic)
    found = json.loads(listed.splitlines()[-1])
    partitions = [
        partition
        for broker in found["brokers"]
        for directory in broker["logDirs"]
        for partition in directory["partitions"]
    ]
    check([p["partition"] for p in partitions] == [f"{topic}-0"], listed)
    check(partitions[0]["size"] >= 10_000, listed)

    identity = tools.run("ClusterTool", "cluster-id", "--bootstrap-server", tools.bootstrap).text
    check(re.search(r"Cluster ID: [\w-]{22}", identity) is not None, identity)
    quorum = tool(tools, "MetadataQuorumCommand", "describe", "--status")
    check("LeaderId:" in quorum and "LeaderEpoch:" in quorum, quorum)


@story_of_tools("kafka-producer-perf and kafka-consumer-perf run to their end")
def performance(stage: Stage, tools: Toolbox) -> None:
    topic = "tools-performance"
    stage.clients["kafka-python"].create_topic(topic, 3)
    count = 50_000
    said = tool(
        tools, "ProducerPerformance", "--topic", topic, "--num-records", str(count),
        "--record-size", "200", "--throughput", "-1", "--command-property", "acks=all",
    )  # fmt: skip
    check(f"{count} records sent" in said, said)
    said = tool(tools, "ConsumerPerformance", "--topic", topic, "--num-records", str(count))
    check(f", {count}, " in said, said)
