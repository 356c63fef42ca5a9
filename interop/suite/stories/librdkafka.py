"""librdkafka's own tests pass. The quick ones, unless the full list is asked for."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Sequence

from ..broker import STATE, ApacheKafka, Broker, Flumen, empty_directory
from ..librdkafka import Listed, Runner, numbers_that_need_a_broker, read_list
from ..processes import Failed
from ..report import Stage, check, story

#: At once: they wait more than they work.
TESTS_MAX = 4
#: What the tests take for granted: Apache Kafka's default for the delay, and four partitions.
SETTINGS = ["num.partitions=4", "group.initial.rebalance.delay.ms=3000"]


@story("librdkafka's own tests")
def own_tests(stage: Stage) -> None:
    listed = read_list()
    forgotten = numbers_that_need_a_broker() - {test.number for test in listed}
    check(not forgotten, f"not in the list: {sorted(forgotten)}")
    work = empty_directory(STATE / "run-librdkafka")
    wanted = ("quick", "full") if stage.is_full else ("quick",)
    failed = failures(stage, work / "default", [test for test in listed if test.when in wanted])
    if stage.is_full:
        rest = [test for test in listed if test.when == "noautocreate"]
        failed += failures(stage, work / "noautocreate", rest, ["auto.create.topics.enable=false"])
    check(not failed, "\n".join(failed))


def failures(
    stage: Stage, work: Path, tests: Sequence[Listed], settings: Sequence[str] = ()
) -> list[str]:
    """Runs tests against a broker of their own, with a line for each; gives the failures."""
    broker = another(stage.broker, work / "broker", [*SETTINGS, *settings])
    try:
        broker.start()
        runner = Runner(broker.bootstrap, work / "tests")

        def fault(test: Listed) -> str | None:
            try:
                print(f"      ok    {test.name} ({runner.run(test):.1f} s)", flush=True)
            except Failed as failure:
                print(f"      FAIL  {test.name}", flush=True)
                return f"{test.name}: {failure}"
            return None

        with ThreadPoolExecutor(TESTS_MAX) as pool:
            failed = [found for found in pool.map(fault, tests) if found is not None]
        if not broker.is_running():
            failed.append(f"the broker died; its output: {broker.output}")
        return failed
    finally:
        broker.discard()


def another(like: Broker, work: Path, settings: Sequence[str]) -> Broker:
    """A broker of the kind that is tested."""
    if isinstance(like, Flumen):
        return Flumen(like.binary, work, settings)
    return ApacheKafka(work, settings)
