"""The same requests to this broker and to Apache Kafka get the same answers."""

from __future__ import annotations

import re

from ..broker import STATE, ApacheKafka, Flumen, empty_directory
from ..cluster import ApacheKafkaCluster, FlumenCluster
from ..processes import run
from ..report import Skipped, Stage, check, story

#: Sequences of requests, each played to brokers that start empty.
SEEDS = (1, 2)
OPERATIONS = 1000
#: Of what is printed; more differences only repeat themselves.
LINES_MAX = 60


@story("the same requests get the same answers as from apache-kafka")
def same_answers(stage: Stage) -> None:
    if stage.differential is None:
        raise Skipped("no --differential program was given")
    if isinstance(stage.broker, FlumenCluster):
        raise Skipped("one broker is compared with one")
    reports = [play(stage, seed) for seed in SEEDS]
    found = "\n".join(report for report, is_clean in reports if not is_clean)
    shown = found.splitlines()
    check(not found, "\n".join(shown[:LINES_MAX] + ["…"] * (len(shown) > LINES_MAX)))


@story("a cluster gives the same answers as one of apache-kafka")
def same_answers_of_clusters(stage: Stage) -> None:
    if stage.differential is None:
        raise Skipped("no --differential program was given")
    if isinstance(stage.broker, FlumenCluster):
        raise Skipped("it is told beside a single broker, with clusters of its own")
    work = empty_directory(STATE / "run-differential-cluster")
    if isinstance(stage.broker, Flumen):
        tested = FlumenCluster(stage.broker.binary, work / "tested")
    else:
        tested = ApacheKafkaCluster(work / "tested")
    reference = ApacheKafkaCluster(work / "reference")
    clusters = (tested, reference)
    try:
        for cluster in clusters:
            cluster.start()
        addresses = [",".join(broker.bootstrap for broker in of.brokers) for of in clusters]
        third = [str(of.brokers[2].process.pid) for of in clusters]
        done = run(
            [
                stage.differential,
                "--flumen", addresses[0], "--kafka", addresses[1], "--third", ",".join(third),
            ],
            timeout_s=300,
            check=False,
        )  # fmt: skip
    finally:
        for cluster in clusters:
            cluster.discard()
    report = (done.stdout + done.stderr).decode(errors="replace")
    check(done.returncode == 0, "\n".join(report.splitlines()[:LINES_MAX]))


def play(stage: Stage, seed: int) -> tuple[str, bool]:
    """Plays one sequence to a new broker of either kind; gives the report and whether it is clean."""
    work = empty_directory(STATE / "run-differential")
    # The suite's reference has few partitions of offsets, and both are asked how many.
    settings = ["node.id=1", "offsets.topic.num.partitions=4"]
    if isinstance(stage.broker, Flumen):
        tested = Flumen(stage.broker.binary, work / "tested", settings)
    else:
        tested = ApacheKafka(work / "tested")
    reference = ApacheKafka(work / "reference")
    try:
        tested.start()
        reference.start()
        done = run(
            [
                stage.differential,
                "--flumen", tested.bootstrap, "--kafka", reference.bootstrap,
                "--seed", str(seed), "--operations", str(OPERATIONS),
            ],
            timeout_s=300,
            check=False,
        )  # fmt: skip
    finally:
        tested.discard()
        reference.discard()
    report = (done.stdout + done.stderr).decode(errors="replace")
    compared = re.search(r"(\d+) requests compared", report)
    enough = compared is not None and int(compared.group(1)) >= OPERATIONS
    return report, done.returncode == 0 and enough
