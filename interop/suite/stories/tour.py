"""The tour of README.md, typed word for word: flumen itself, kcat and Python."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..broker import STATE, Flumen
from ..processes import run
from ..report import Skipped, Stage, check, story

README = Path(__file__).resolve().parents[3] / "README.md"


@story("the README's tour, typed word for word")
def tour(stage: Stage) -> None:
    if not isinstance(stage.broker, Flumen):
        raise Skipped("the tour is flumen's")
    folder = stage.work / "tour"
    folder.mkdir(exist_ok=True)
    text = README.read_text().split("## A tour", 1)[1].split("\n## ", 1)[0]
    # Word for word but for the port: the tour's may be in use.
    text = text.replace("127.0.0.1:9092", stage.bootstrap)
    blocks = re.findall(r"```(sh|python)\n(.*?)```", text, re.DOTALL)
    check(len(blocks) >= 5, f"the tour has only {len(blocks)} blocks")
    said = "".join(typed(stage, folder, *block) for block in blocks)
    for greeting in ("en=hello", "de=hallo", "b'it' b'ciao'"):
        check(greeting in said, f"{greeting} did not come out:\n{said}")


def typed(stage: Stage, folder: Path, language: str, block: str) -> str:
    """Types a block, and gives what was printed."""
    assert isinstance(stage.broker, Flumen)
    if "export PATH" in block:
        return ""
    search = f"{stage.broker.binary.parent}:{os.environ['PATH']}"
    settings = [f"PATH={search}", f"FLUMEN_BOOTSTRAP={stage.bootstrap}"]
    program = ["sh", "-e"] if language == "sh" else [STATE / "venv" / "bin" / "python"]
    words = ["env", "-C", folder, *settings, *program, "-c", block]
    return run(words, timeout_s=60).stdout.decode()
