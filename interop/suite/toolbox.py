"""Apache Kafka's tools in one process, for stories that run many of them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator

from .clients.java import TOOLS, class_of
from .driver import Driver

#: A tool that talks to a broker which does not answer as it should tries for a minute by itself.
TOOL_S_MAX = 90


@dataclass(frozen=True)
class Said:
    """How a tool ended, and what it printed on either stream."""

    code: int
    text: str


class Toolbox:
    """The running process; java/tools/ has the other half."""

    def __init__(self, bootstrap: str, log: Path) -> None:
        self.bootstrap = bootstrap
        self._driver = Driver("kafka-tools", TOOLS, bootstrap, log)

    def run(self, name: str, *words: str, given: str = "") -> Said:
        """Runs a tool to its end, `given` being its standard input."""
        done = self._driver.call(
            "tool", answer_s_max=TOOL_S_MAX, words=words, input=given, **{"class": class_of(name)}
        )
        return Said(done["code"], done["said"])

    def kill(self) -> None:
        self._driver.kill()


@contextmanager
def toolbox(bootstrap: str, log: Path) -> Iterator[Toolbox]:
    tools = Toolbox(bootstrap, log)
    try:
        yield tools
    finally:
        tools.kill()
