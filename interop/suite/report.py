"""Stories, their running and the closing line."""

from __future__ import annotations

import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Callable, Iterable, Iterator

from .broker import Broker
from .clients import Client, drivers
from .clients.driven import Driven
from .driver import Unsupported
from .processes import Failed
from .records import Difference

#: A run that takes longer has hung somewhere; what is left is not told.
TIME_S_MAX = 25 * 60
#: Stories mostly wait, for a session to end or a rebalance; but a machine may have two cores.
SIDE_BY_SIDE_MAX = 4


class Skipped(Exception):
    """The story cannot be told here; the text says why."""


@dataclass
class Stage:
    """What a story has to work with."""

    broker: Broker
    clients: dict[str, Client]
    work: Path
    #: The program that compares two brokers, if it was built.
    differential: Path | None = None
    #: Whether stories that have a long form are told in it.
    is_full: bool = False
    #: What the report says beside the outcome.
    remarks: list[str] = field(default_factory=list)

    @property
    def bootstrap(self) -> str:
        return self.broker.bootstrap

    @contextmanager
    def where_supported(self) -> Iterator[None]:
        """Goes on behind the block where a library cannot do what it asks, with a remark."""
        try:
            yield
        except Unsupported as reason:
            if str(reason) not in self.remarks:
                self.remarks.append(str(reason))


@dataclass(frozen=True)
class Story:
    """A name, and a function that raises when something is wrong."""

    name: str
    told: Callable[[Stage], None]
    #: Whether it may be told at the same time as its neighbours: it leaves the broker running.
    side_by_side: bool = False


STORIES: list[Story] = []


def story(name: str) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Registers a function as a story under `name`."""

    def register(told: Callable[[Stage], None]) -> Callable[[Stage], None]:
        STORIES.append(Story(name, told))
        return told

    return register


def story_of_each_driver(name: str) -> Callable[[Callable[[Stage, Driven], None]], None]:
    """Registers a function as a story of every client that has a driver, told side by side."""

    def register(told: Callable[[Stage, Driven], None]) -> None:
        for client in drivers():

            def of_client(stage: Stage, client: str = client) -> None:
                told(stage, stage.clients[client])

            STORIES.append(Story(f"{client}: {name}", of_client, side_by_side=True))

    return register


def check(condition: bool, otherwise: str) -> None:
    """Fails the story unless `condition` holds."""
    if not condition:
        raise Difference(otherwise)


@dataclass
class Report:
    """Counts outcomes and prints each as it comes."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    names_failed: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    #: Stories that are told side by side end at the same time.
    lock: Lock = field(default_factory=Lock)

    def tell(self, stories: Iterable[Story], stage: Stage) -> None:
        """Runs stories that stand side by side together, and the others one by one."""
        for together, group in groupby(stories, key=lambda told: told.side_by_side):
            with ThreadPoolExecutor(SIDE_BY_SIDE_MAX if together else 1) as pool:
                # Looking at the results lets nothing pass that went wrong in the telling itself.
                list(pool.map(lambda told: self._tell(told, replace(stage, remarks=[])), group))

    def _tell(self, told: Story, stage: Stage) -> None:
        """Runs one story. A broker that died during it fails it, and is started again."""
        if time.monotonic() - self.began > TIME_S_MAX:
            self._fail(told, f"not told: the run took longer than {TIME_S_MAX} s")
            return
        began = time.monotonic()
        try:
            told.told(stage)
            if not stage.broker.is_running():
                raise Failed("the broker died")
        except (Skipped, Unsupported) as reason:
            with self.lock:
                self.skipped += 1
                print(f"skip  {told.name}: {reason}", flush=True)
        except Exception as error:
            known = isinstance(error, (Difference, Failed, AssertionError))
            self._fail(told, (known and str(error)) or traceback.format_exc())
            self._revive(stage.broker)
        else:
            text = f"ok    {told.name} ({time.monotonic() - began:.1f} s)"
            with self.lock:
                self.passed += 1
                print("\n".join([text, *map(indent, stage.remarks)]), flush=True)

    def _fail(self, told: Story, text: str) -> None:
        with self.lock:
            self.failed += 1
            self.names_failed.append(told.name)
            print(f"FAIL  {told.name}\n" + indent(text), flush=True)

    def _revive(self, broker: Broker) -> None:
        with self.lock:
            if not broker.is_running():
                print(indent(f"broker output: {broker.output}"), flush=True)
                broker.discard()
                broker.start()

    def close(self) -> int:
        """Prints the closing line and says how the program should exit."""
        for name in self.names_failed:
            print(f"failed: {name}")
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        print(f"{self.passed} passed, {self.failed} failed{skipped}", flush=True)
        return 0 if self.failed == 0 and self.passed > 0 else 1


def indent(text: str) -> str:
    """Sets a text off from the lines of the report."""
    return "\n".join(f"      {line}" for line in text.splitlines())
