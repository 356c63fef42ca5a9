"""Apache Kafka's tools say the same of this broker as of Apache Kafka."""

from __future__ import annotations

import difflib
import json
import re
import shlex
from pathlib import Path

from ..broker import STATE, ApacheKafka, Broker, Flumen, empty_directory
from ..cluster import FlumenCluster
from ..report import Skipped, Stage, check, story
from ..toolbox import Said, toolbox

#: What is typed, in this order, against a new broker. `@` stands for `--bootstrap-server ADDRESS`,
#: `FILES/` for the folder of FILES; what follows `<<<` is typed into the tool.
SAME = """
TopicCommand @ --create --topic ga --partitions 3 --config retention.ms=3600000
TopicCommand @ --create --topic gb
TopicCommand @ --create --topic gc --replica-assignment 1,1
TopicCommand @ --create --topic ga
TopicCommand @ --create --topic ga --if-not-exists
TopicCommand @ --create --topic no/slashes
TopicCommand @ --create --topic gd --config nonsense=1
TopicCommand @ --create --topic gd --partitions 0
TopicCommand @ --list
TopicCommand @ --describe
TopicCommand @ --describe --topic ga
TopicCommand @ --describe --topic g.*
TopicCommand @ --describe --topic gone
TopicCommand @ --describe --topic-id AAAAAAAAAAAAAAAAAAAAAA
TopicCommand @ --describe --under-replicated-partitions
TopicCommand @ --describe --unavailable-partitions
TopicCommand @ --describe --under-min-isr-partitions
TopicCommand @ --describe --at-min-isr-partitions
TopicCommand @ --alter --topic ga --partitions 5
TopicCommand @ --alter --topic ga --partitions 2
TopicCommand @ --alter --topic ga --partitions 5
TopicCommand @ --alter --topic gone --partitions 5
TopicCommand @ --describe --topic ga --partition-size-limit-per-response 2
TopicCommand @ --delete --topic gc
TopicCommand @ --delete --topic gone
TopicCommand @ --delete --topic gone --if-exists
ConfigCommand @ --describe --entity-type topics --entity-name ga
ConfigCommand @ --describe --all --entity-type topics --entity-name ga
ConfigCommand @ --alter --entity-type topics --entity-name ga \
    --add-config segment.bytes=2097152,cleanup.policy=[compact,delete]
ConfigCommand @ --alter --entity-type topics --entity-name ga --add-config nonsense=1
ConfigCommand @ --alter --entity-type topics --entity-name gone --add-config retention.ms=5
ConfigCommand @ --alter --entity-type topics --entity-name ga --delete-config segment.bytes
ConfigCommand @ --alter --entity-type topics --entity-name ga --delete-config flush.ms
ConfigCommand @ --describe --entity-type topics
ConfigCommand @ --describe --entity-type topics --entity-name gone
ConfigCommand @ --describe --entity-type brokers --entity-name 1
ConfigCommand @ --describe --entity-type brokers --entity-name 7
ConfigCommand @ --describe --entity-type brokers --entity-default
ConfigCommand @ --alter --entity-type brokers --entity-name 1 --add-config log.retention.bytes=3600000
ConfigCommand @ --describe --entity-type brokers --entity-name 1
ConfigCommand @ --alter --entity-type brokers --entity-name 1 --delete-config log.retention.bytes
ConfigCommand @ --alter --entity-type brokers --entity-name 1 --add-config broker.rack=x
ConfigCommand @ --describe --entity-type client-metrics
ConfigCommand @ --describe --entity-type groups --entity-name fresh
ConfigCommand @ --alter --entity-type groups --entity-name fresh --add-config consumer.session.timeout.ms=50000
ConsoleProducer @ --topic ga --reader-property parse.key=true --reader-property key.separator=: \
    --reader-property parse.headers=true --reader-property headers.delimiter=| \
    <<< h1:v1,h2:v2|k1:one\\nh1:v1|k2:two\\nh1:v1|k3:three\\nh1:v1|k4:four\\n
ConsoleProducer @ --topic gb --compression-codec zstd <<< a\\nb\\nc\\nd\\ne\\nf\\ng\\nh\\n
ConsoleProducer @ --topic gb --compression-codec lz4 --sync --command-property acks=1 \
    --command-property enable.idempotence=false <<< i\\nj\\n
consumer.ConsoleConsumer @ --topic ga --group first --from-beginning --max-messages 4 --timeout-ms 30000 \
    --formatter-property print.key=true --formatter-property print.partition=true \
    --formatter-property print.headers=true --formatter-property print.offset=true
consumer.ConsoleConsumer @ --topic gb --group first --from-beginning --max-messages 5 --timeout-ms 30000
consumer.ConsoleConsumer @ --topic gb --partition 0 --offset 3 --max-messages 2 --timeout-ms 30000
consumer.ConsoleConsumer @ --include g[ab] --from-beginning --max-messages 14 --timeout-ms 30000 \
    --isolation-level read_committed --group second
consumer.group.ConsumerGroupCommand @ --list
consumer.group.ConsumerGroupCommand @ --list --state
consumer.group.ConsumerGroupCommand @ --list --state stable
consumer.group.ConsumerGroupCommand @ --list --type
consumer.group.ConsumerGroupCommand @ --list --type classic --state
consumer.group.ConsumerGroupCommand @ --list --type consumer
consumer.group.ConsumerGroupCommand @ --describe --group first
consumer.group.ConsumerGroupCommand @ --describe --group first --offsets --verbose
consumer.group.ConsumerGroupCommand @ --describe --group first --members --verbose
consumer.group.ConsumerGroupCommand @ --describe --group first --state --verbose
consumer.group.ConsumerGroupCommand @ --describe --all-groups
consumer.group.ConsumerGroupCommand @ --describe --group gone
consumer.group.ConsumerGroupCommand @ --describe --group gone --state
consumer.group.ConsumerGroupCommand @ --describe --group gone --members
consumer.group.ConsumerGroupCommand @ --reset-offsets --group first --topic ga --to-earliest --dry-run
consumer.group.ConsumerGroupCommand @ --reset-offsets --group first --topic ga --to-latest --execute
consumer.group.ConsumerGroupCommand @ --reset-offsets --group first --topic gb:0 --to-offset 3 --execute
consumer.group.ConsumerGroupCommand @ --reset-offsets --group first --topic gb --to-offset 3000 --execute
consumer.group.ConsumerGroupCommand @ --reset-offsets --group first --topic gb --shift-by -2 --execute
consumer.group.ConsumerGroupCommand @ --reset-offsets --group first --topic gb \
    --to-datetime 2020-01-01T00:00:00.000 --execute
consumer.group.ConsumerGroupCommand @ --reset-offsets --group first --topic gb --by-duration PT1H --execute
consumer.group.ConsumerGroupCommand @ --reset-offsets --group first --all-topics --to-current --export
consumer.group.ConsumerGroupCommand @ --reset-offsets --group first --from-file FILES/reset.csv --execute
consumer.group.ConsumerGroupCommand @ --reset-offsets --group fresh --topic gb --to-offset 4 --execute
consumer.group.ConsumerGroupCommand @ --reset-offsets --all-groups --topic gb --to-latest --execute
consumer.group.ConsumerGroupCommand @ --delete-offsets --group first --topic gb
consumer.group.ConsumerGroupCommand @ --delete-offsets --group gone --topic gb
consumer.group.ConsumerGroupCommand @ --delete --group fresh
consumer.group.ConsumerGroupCommand @ --delete --group gone
GroupsCommand @ --list
GetOffsetShell @ --topic ga
GetOffsetShell @ --topic ga --time -2
GetOffsetShell @ --topic gb --time -3
GetOffsetShell @ --topic ga --time -4
GetOffsetShell @ --topic ga --time -5
GetOffsetShell @ --topic gb --time 1500000000000
GetOffsetShell @ --topic-partitions ga:0-2,gb:0
GetOffsetShell @ --exclude-internal-topics
DeleteRecordsCommand @ --offset-json-file FILES/delete.json
LogDirsCommand @ --describe --topic-list gone
LogDirsCommand @ --describe --broker-list 1,7 --topic-list gone
LeaderElectionCommand @ --election-type preferred --topic ga --partition 0
LeaderElectionCommand @ --election-type unclean --topic ga --partition 0
LeaderElectionCommand @ --election-type preferred --all-topic-partitions
reassign.ReassignPartitionsCommand @ --generate --topics-to-move-json-file FILES/move.json --broker-list 1
reassign.ReassignPartitionsCommand @ --list
TransactionsCommand @ describe-producers --topic ga --partition 4
TransactionsCommand @ find-hanging --broker-id 1
ProducerPerformance @ --topic gb --num-records 2000 --record-size 100 --throughput -1 --command-property acks=all
ConsumerPerformance @ --topic gb --num-records 2000 --group perf --hide-header
EndToEndLatency @ --topic gb --num-records 20 --producer-acks all --record-size 100
VerifiableProducer @ --topic gb --max-messages 5
VerifiableConsumer @ --topic gb --group-id verifiable --max-messages 5
ClusterTool cluster-id @
ClusterTool list-endpoints @
ClientMetricsCommand @ --list
"""

#: What this broker does not serve: the tool must say so, and not hang or blame the network.
REFUSED = {
    "ConfigCommand @ --describe --entity-type users": "not support DESCRIBE_CLIENT_QUOTAS",
    "ConfigCommand @ --alter --entity-type broker-loggers --entity-name 1 --add-config root=DEBUG":
        "Invalid broker logger",
    "FeatureCommand @ upgrade --feature group.version=1": "not support UPDATE_FEATURES",
    "TransactionsCommand @ list": "not support LIST_TRANSACTIONS",
    "TransactionsCommand @ describe --transactional-id one": "authorization failure",
    "AclCommand @ --list": "not support DESCRIBE_ACLS",
    "consumer.group.ShareGroupCommand @ --describe --group one": "not support SHARE_GROUP_DESCRIBE",
}  # fmt: skip

FILES = {
    "reset.csv": "gb,0,2\n",
    "delete.json": json.dumps({"version": 1, "partitions": [
        {"topic": "gb", "partition": 0, "offset": 2}, {"topic": "ga", "partition": 0, "offset": -1},
    ]}),
    "move.json": json.dumps({"version": 1, "topics": [{"topic": "ga"}]}),
}  # fmt: skip

#: What differs between two runs, whatever the broker.
VARIES = (
    (r"\d{4}-\d\d-\d\d[ T][\d:.,]+", "TIME"),
    (r"\b1[78]\d{11}\b", "TIME"),
    (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "UUID"),
    (r"(?<![\w-])[\w-]{22}(?![\w-])", "ID"),
    (r"127\.0\.0\.1(:| +)\d+", "ADDRESS"),
    (r'/[^"\s]*/run-transcript/[^"\s]*', "DIRECTORY"),
    (r"(adminclient|Thread)-\d+", r"\1-N"),
    # How fast it was.
    (r"\d+\.\d+", "N"),
    (r"\d+ ms (50th|95th|99th|Nth)", r"N ms \1"),
    (r"(50th|99th|Nth) = \d+", r"\1 = N"),
    (r"(?<=, )\d+(?=, \d+, N)|(?<=, )\d+(?=, N)", "N"),
    # Column widths follow the ids.
    (r" +", " "),
)

#: What differs between the brokers, and why.
JUSTIFIED = (
    # A cluster with eligible leader replicas writes the setting down when it is formatted.
    (r"^ min\.insync\.replicas=.*\n", ""),
    (r"min\.insync\.replicas=1,?", ""),
    # A setting of this broker's own, and a limit that it sets by default.
    (r"^ durability=.*\n", ""),
    (r"^ max\.decompressed\.message\.bytes=.*\n", ""),
)


@story("apache-kafka's tools say the same of both brokers")
def same_words(stage: Stage) -> None:
    if isinstance(stage.broker, FlumenCluster):
        raise Skipped("one broker is compared with one")
    work = empty_directory(STATE / "run-transcript")
    files = work / "files"
    files.mkdir()
    for name, text in FILES.items():
        (files / name).write_text(text)
    commands = SAME.strip().splitlines()
    settings = ["node.id=1", "offsets.topic.num.partitions=4"]
    tested: Broker
    if isinstance(stage.broker, Flumen):
        tested = Flumen(stage.broker.binary, work / "tested", settings)
        refused = list(REFUSED)
    else:
        tested = ApacheKafka(work / "tested")
        refused = []
    heard = transcript(tested, commands + refused, work / "tested.log", files)
    expected = transcript(ApacheKafka(work / "reference"), commands, work / "reference.log", files)

    different = [
        f"{command}\n{difference}"
        for command, want, have in zip(commands, expected, heard)
        if (difference := compared(want, have))
    ]
    for command, said in zip(refused, heard[len(commands) :]):
        # Not every tool that was refused exits with an error.
        if REFUSED[command] not in said.text:
            different.append(f"{command}\ndid not say: {REFUSED[command]}\n{said.text}")
    check(not different, "\n".join(different))


def transcript(broker: Broker, commands: list[str], log: Path, files: Path) -> list[Said]:
    """What the tools say of a new broker, command by command."""
    try:
        broker.start()
        with toolbox(broker.bootstrap, log) as tools:
            heard = []
            for command in commands:
                typed, _, given = command.partition(" <<< ")
                address = f"--bootstrap-server {broker.bootstrap}"
                words = shlex.split(typed.replace("@", address).replace("FILES", str(files)))
                heard.append(tools.run(*words, given=given.replace("\\n", "\n")))
            return heard
    finally:
        broker.discard()


def compared(want: Said, have: Said) -> str:
    """The lines that differ; their order does not count, for most come from unordered tables."""
    wanted, found = normal(want), normal(have)
    if sorted(wanted) == sorted(found):
        return ""
    lines = difflib.unified_diff(wanted, found, "apache-kafka", "tested", lineterm="", n=0)
    return "\n".join(lines)


def normal(said: Said) -> list[str]:
    text = said.text
    for pattern, instead in VARIES + JUSTIFIED:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    # Where in the tool's code an error was caught says nothing of the broker.
    lines = [line for line in text.splitlines() if not line.startswith("\tat ")]
    return [f"exit {said.code}", *(line.strip() for line in lines)]
