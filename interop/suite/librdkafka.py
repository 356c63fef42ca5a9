"""librdkafka's own test program: the list of its tests, and running one of them.

`interop/librdkafka/tests.txt` is the list, and says what its lines mean.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .broker import STATE
from .clients import java
from .processes import Failed, tail

LIST = Path(__file__).resolve().parent.parent / "librdkafka" / "tests.txt"
SOURCE = STATE / "librdkafka" / "source"
#: Of one test. The slowest waits seven minutes for time to pass.
TIME_S_MAX = 900
#: What the tests may count on, unless the list says otherwise.
KAFKA_VERSION = "4.0.0.0"


@dataclass(frozen=True)
class Listed:
    """A line of the list."""

    test: str
    #: How the names of its subtests that are meant begin; empty for all.
    subtests: str
    #: `quick`, `full`, `noautocreate` or `skip`.
    when: str
    #: Of the Kafka that the test is to take the broker for.
    version: str

    @property
    def number(self) -> str:
        return self.test[:4]

    @property
    def name(self) -> str:
        return f"{self.test}/{self.subtests}" if self.subtests else self.test


def read_list() -> list[Listed]:
    """Every line of the list; one that is not understood ends the run."""
    found = []
    for line in LIST.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(
            r"(\d{4}_\w+)(?:/(\w+))? +(quick|full|noautocreate|skip)"
            r"(?: +as ([\d.]+))?(?: +(\S.*))?",
            line,
        )
        if match is None:
            raise Failed(f"{LIST.name}: {line!r} is not a line of this list")
        test, subtests, when, version, why = match.groups()
        # Whatever is left out has its reason.
        if (when == "skip" or version is not None) != (why is not None):
            raise Failed(f"{LIST.name}: {line!r} has no reason, or needs none")
        found.append(Listed(test, subtests or "", when, version or KAFKA_VERSION))
    return found


def numbers_that_need_a_broker() -> set[str]:
    """The tests that the program itself does not call local or manual."""
    table = (SOURCE / "tests" / "test.c").read_text()
    tests = re.findall(r"\b_TEST\((\d{4})_\w+,\s*([\w\s|]+)", table)
    return {number for number, flags in tests if "LOCAL" not in flags and "MANUAL" not in flags}


@dataclass
class Runner:
    """Runs tests against one broker."""

    bootstrap: str
    work: Path

    def __post_init__(self) -> None:
        self.work.mkdir(parents=True)
        self.settings = self.work / "test.conf"
        self.settings.write_text(f"bootstrap.servers={self.bootstrap}\n")
        # What the tests know of a Kafka distribution is its command for topics.
        tool = self.work / "kafka" / "bin" / "kafka-topics.sh"
        tool.parent.mkdir(parents=True)
        words = " ".join(f"'{word}'" for word in java.tool("TopicCommand"))
        tool.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
        tool.chmod(0o755)

    def run(self, test: Listed) -> float:
        """Runs one test and gives the seconds it took; `Failed` says what the program said of it."""
        environment = {
            **os.environ,
            "TESTS": test.number,
            "TEST_KAFKA_VERSION": test.version,
            "RDKAFKA_TEST_CONF": str(self.settings),
            # Longer timeouts, for a busy machine.
            "CI": "1",
            "KAFKA_PATH": str(self.work / "kafka"),
            "BROKERS": self.bootstrap,
            # The libraries beside the program, and not those of the system.
            "LD_LIBRARY_PATH": f"{SOURCE}/src:{SOURCE}/src-cpp",
        }
        if test.subtests:
            environment["SUBTESTS"] = f"do_test_{test.subtests}"
        # One at a time; without those that need no broker.
        command = ["./test-runner", "-p1", "-L"]
        if test.when == "quick":
            command.append("-Q")
        if test.when == "noautocreate":
            command += ["-s", "noautocreate"]
        output = self.work / f"{test.name.replace('/', '-')}.log"
        began = time.monotonic()
        with output.open("wb") as sink:
            try:
                code = subprocess.run(
                    command, cwd=SOURCE / "tests", env=environment, stdin=subprocess.DEVNULL,
                    stdout=sink, stderr=sink, timeout=TIME_S_MAX, check=False,
                ).returncode  # fmt: skip
            except subprocess.TimeoutExpired:
                raise Failed(f"still running after {TIME_S_MAX} s; see {output}") from None
        said = re.sub(r"\x1b\[[0-9;]*m", "", output.read_text(errors="replace"))
        if code != 0 or not has_passed(said, test):
            failures = re.findall(r'^### Test "(?!<MAIN>).*\n.*$', said, re.MULTILINE)
            shown = "\n".join(failures) or tail(said.encode())
            raise Failed(f"exit code {code}; see {output}\n{shown}")
        return time.monotonic() - began


def has_passed(said: str, test: Listed) -> bool:
    """Whether something ran and all of it passed: the program is content with nothing at all."""
    if test.subtests and not re.search(rf"\[ do_test_{test.subtests}.*: PASS", said):
        return False
    states = re.findall(rf"^\| +{test.number}_\w+ +\| +(\w+) +\|", said, re.MULTILINE)
    return "PASSED" in states and "FAILED" not in states
