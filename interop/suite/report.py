"""Stories, their running and the closing line."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from .broker import Broker
from .clients import Client
from .processes import Failed
from .records import Difference


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

    @property
    def bootstrap(self) -> str:
        return self.broker.bootstrap


Story = Callable[[Stage], None]
STORIES: list[tuple[str, Story]] = []


def story(name: str) -> Callable[[Story], Story]:
    """Registers a function as a story under `name`."""

    def register(told: Story) -> Story:
        STORIES.append((name, told))
        return told

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

    def tell(self, name: str, told: Story, stage: Stage) -> None:
        """Runs one story. A broker that died during it fails it, and is started again."""
        began = time.monotonic()
        try:
            told(stage)
            if not stage.broker.is_running():
                raise Failed("the broker died")
        except Skipped as reason:
            self.skipped += 1
            print(f"skip  {name}: {reason}", flush=True)
            return
        except Exception as error:
            self.failed += 1
            self.names_failed.append(name)
            known = isinstance(error, (Difference, Failed, AssertionError))
            text = str(error) if known else traceback.format_exc()
            print(f"FAIL  {name}\n" + indent(text or repr(error)), flush=True)
            if not stage.broker.is_running():
                print(indent(f"broker output: {stage.broker.output}"), flush=True)
                stage.broker.discard()
                stage.broker.start()
            return
        self.passed += 1
        print(f"ok    {name} ({time.monotonic() - began:.1f} s)", flush=True)

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
