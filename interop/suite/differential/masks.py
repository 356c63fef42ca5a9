"""What may differ between the two brokers' answers, and why."""

from __future__ import annotations

from typing import Any

#: Fields that are masked wherever they occur: their values are each broker's own.
OWN_VALUES = {
    "throttle_time_ms": "no quotas are set; what is reported is a matter of timing",
    "cluster_id": "every cluster has its own",
    "host": "addresses",
    "port": "addresses",
    "topic_id": "chosen at random",
    "member_id": "chosen at random",
    "leader": "holds a member id in group answers; brokers are compared by their count",
    "members": "holds member ids; the scene notes what matters",
    "client_host": "written with or without a slash",
    "producer_id": "blocks of ids are handed out in another order",
    "broker_id": "node ids are the same, but clusters differ in size",
    "session_id": "chosen at random",
    "log_dir": "a path",
    "total_bytes": "of the disk",
    "usable_bytes": "of the disk",
    "high_watermark_metadata": "the metadata logs have different records",
    "log_append_time_ms": "a time, where it is one",
    "documentation": "each project's own words",
    "member_epoch": "counted from a group's own begin",
    "records": "compared as bytes by the stories",
    "current_leader": "hints that either may leave out where the leader is unchanged",
    "node_endpoints": "go with current_leader",
    "replica_directory_id": "chosen at random",
    "unknown_tags": "not a part of the answer",
}

#: Fields that are not compared at all.
IGNORED = {
    "error_message": "each project's own words; to say more than the code does is no fault",
}

#: Fields of one API only.
OWN_VALUES_OF_API = {
    "DescribeQuorum": {
        "leader_epoch": "elections differ",
        "high_watermark": "the metadata logs have different records",
        "log_end_offset": "the metadata logs have different records",
        "last_fetch_timestamp": "a time",
        "last_caught_up_timestamp": "a time",
        "node_id": "the quorum's nodes",
        "listeners": "addresses",
    },
    "DescribeLogDirs": {"partition_size": "the same data, framed by different producers"},
}


#: Differences that are meant: parts of a difference's text, and why.
MEANT = {
    "configs: topic.durability": "a setting that Flumen has and Apache Kafka has not",
    "configs: topic.max.decompressed.message.bytes": "finite by default (safe by default)",
    "producing idempotently: repeated: Produce.responses[0].partition_responses[0].log_append":
        "Apache Kafka tells a producer's time as that of the append, of duplicates only",
    "producing idempotently: repeated later: Produce.responses[0].partition_responses[0].log_app":
        "as above",
    "offsets of groups: known: DeleteGroups":
        "a group without members and offsets is gone at once, not at the next cleaning",
    "configs: unknown operation": "INVALID_REQUEST says more than UNKNOWN_SERVER_ERROR",
}


def is_meant(difference: str) -> bool:
    """Whether a difference is one that was decided on."""
    return any(difference.startswith(part) for part in MEANT)


def masked(api: str, answer: Any) -> Any:
    """The answer with what may differ replaced by its kind."""
    own = OWN_VALUES | OWN_VALUES_OF_API.get(api, {})
    return _masked(own, answer)


def _masked(own: dict[str, str], value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: _kind(inner) if name in own else _masked(own, inner)
            for name, inner in value.items()
            if name not in IGNORED
        }
    if isinstance(value, (list, tuple)):
        return sorted((_masked(own, inner) for inner in value), key=_rank)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    return value


def _rank(value: Any) -> str:
    """Orders the elements of a list by their names: the order of answers means nothing."""
    if not isinstance(value, dict):
        return ""
    names = ("topic", "name", "group_id", "partition", "partition_index", "key")
    return str([str(value.get(name)).zfill(8) for name in names])


def _kind(value: Any) -> str:
    """Says of a value only whether there is one."""
    if value is None:
        return "null"
    if isinstance(value, int) and not isinstance(value, bool):
        return "negative" if value < 0 else "number"
    return "something" if value else "empty"


def differences(path: str, left: Any, right: Any) -> list[str]:
    """Where two masked answers differ."""
    if isinstance(left, dict) and isinstance(right, dict):
        found = []
        for name in sorted(left.keys() | right.keys()):
            found += differences(f"{path}.{name}", left.get(name), right.get(name))
        return found
    if isinstance(left, list) and isinstance(right, list) and len(left) == len(right):
        found = []
        for index, (one, other) in enumerate(zip(left, right)):
            found += differences(f"{path}[{index}]", one, other)
        return found
    return [] if left == right else [f"{path}: {left!r} where apache-kafka has {right!r}"]
