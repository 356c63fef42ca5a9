"""Each client as an operator: topics, their settings, their records, and groups."""

from __future__ import annotations

from ..clients.driven import Driven, produce, take
from ..driver import Driver, Refused
from ..processes import Failed
from ..records import Record
from ..report import Stage, check, story_of_each_driver


@story_of_each_driver("creates, describes, alters and deletes topics, groups and records")
def administration(stage: Stage, client: Driven) -> None:
    driver = client.driver()
    topic = f"administration-{client.name}"
    with stage.where_supported():
        topics(driver, topic)
    with stage.where_supported():
        settings(driver, topic)
    produce(driver, topic, [Record(f"{number}".encode()) for number in range(10)])
    with stage.where_supported():
        groups(stage, driver, topic)
    with stage.where_supported():
        records(driver, topic)
    driver.call("delete_topic", topic=topic)
    check(topic not in driver.call("list_topics")["topics"], "the deleted topic is listed")
    driver.close()


def topics(driver: Driver, topic: str) -> None:
    create = {"topic": topic, "partitions": 3, "config": {"retention.ms": "3600000"}}
    driver.call("create_topic", **create)
    refused(driver, "create_topic", **create)
    refused(driver, "create_topic", topic="no/slashes", partitions=1, config={})
    check(topic in driver.call("list_topics")["topics"], "the topic is not listed")
    found = driver.call("describe_topic", topic=topic)["partitions"]
    found.sort(key=lambda partition: partition["index"])
    check([partition["index"] for partition in found] == [0, 1, 2], f"described as {found}")
    leader = found[0]["leader"]
    for partition in found:
        check(
            (partition["leader"], partition["replicas"], partition["in_sync"])
            == (leader, [leader], [leader]),
            f"described as {partition}",
        )


def settings(driver: Driver, topic: str) -> None:
    found = driver.call("describe_config", topic=topic)["config"]
    check(found["retention.ms"] == "3600000", f"retention.ms is {found['retention.ms']}")
    check(found["cleanup.policy"] == "delete", f"cleanup.policy is {found['cleanup.policy']}")
    driver.call("alter_config", topic=topic, set={"segment.bytes": "2097152"})
    refused(driver, "alter_config", topic=topic, set={"retention.ms": "soon"})
    found = driver.call("describe_config", topic=topic)["config"]
    check(found["segment.bytes"] == "2097152", f"segment.bytes is {found['segment.bytes']}")
    check(found["retention.ms"] == "3600000", f"retention.ms became {found['retention.ms']}")


def groups(stage: Stage, driver: Driver, topic: str) -> None:
    group = f"{topic}-group"
    driver.open(group, topics=[topic])
    check(len(take(driver, 4, timeout_s=60)) == 4, "the group did not read")
    driver.call("commit")
    check(group in driver.call("list_groups")["groups"], "the group is not listed")
    found = driver.call("describe_group", group=group)
    check(found["state"] == "Stable" and len(found["members"]) == 1, f"described as {found}")
    assigned = sorted(found["members"][0]["partitions"])
    check(assigned == [[topic, index] for index in range(3)], f"described as {found}")
    with stage.where_supported():
        refused(driver, "delete_group", group=group)
    driver.call("close")

    found = driver.call("describe_group", group=group)
    check((found["state"], found["members"]) == ("Empty", []), f"described as {found}")
    committed = driver.call("committed", group=group, topic=topic, partition=0)["offset"]
    check(committed == 4, f"committed is {committed}")
    never = driver.call("committed", group=group, topic=topic, partition=1)["offset"]
    check(never is None, f"committed is {never} where nothing was")
    driver.call("delete_group", group=group)
    check(group not in driver.call("list_groups")["groups"], "the deleted group is listed")


def records(driver: Driver, topic: str) -> None:
    low = driver.call("delete_records", topic=topic, partition=0, before=6)["low"]
    check(low == 6, f"the low watermark is {low}")
    found = driver.call("watermarks", topic=topic, partition=0)
    check(found == {"low": 6, "high": 10}, f"the watermarks are {found}")
    driver.open(None, assign=[[topic, 0]])
    offsets = [record.offset for record in take(driver, 4, timeout_s=60)]
    check(offsets == [6, 7, 8, 9], f"what is left is {offsets}")
    driver.call("close")


def refused(driver: Driver, do: str, **arguments) -> None:
    """Asks for what the broker must refuse."""
    try:
        driver.call(do, **arguments)
    except Refused:
        return
    raise Failed(f"{do} {arguments} was not refused")
