"""Apache Kafka's own dump tool reads every file that the stopped broker left behind."""

from __future__ import annotations

import re
from pathlib import Path

from ..broker import Flumen
from ..clients.java import tool
from ..processes import run, tail
from ..records import Difference
from ..report import Skipped, Stage, check, story

#: What the tool says, with exit code 0, about a file that is not right.
COMPLAINT = re.compile(
    r"mismatch|isvalid: false|invalid|exception|corrupt|not (?:found|monotonic)|error|"
    r"non-consecutive|out of order|misplaced",
    re.IGNORECASE,
)


@story("DumpLogSegments accepts every file of the stopped broker")
def dump(stage: Stage) -> None:
    stage.broker.stop()
    try:
        directories = stage.broker.partition_directories()
        check(len(directories) > 20, f"only {len(directories)} partition directories")
        of_kind = {
            suffix: [path for folder in directories for path in sorted(folder.glob(f"*{suffix}"))]
            for suffix in (".log", ".index", ".timeindex", ".snapshot")
        }
        for suffix, files in of_kind.items():
            check(bool(files), f"no {suffix} file was left behind")
        accept(of_kind[".log"], "--deep-iteration")
        accept(of_kind[".index"], "--index-sanity-check")
        accept(of_kind[".index"], "--verify-index-only")
        accept(of_kind[".timeindex"], "--verify-index-only")
        accept(of_kind[".snapshot"])
        accept([path for path in of_kind[".log"] if "__consumer_offsets" in str(path)],
               "--offsets-decoder")
        counted(of_kind[".log"])
    finally:
        stage.broker.start()


def accept(files: list[Path], *options: str) -> str:
    """Runs the tool over files and fails on a complaint about any."""
    done = run(
        [*tool("DumpLogSegments"), *options, "--files", ",".join(map(str, files))],
        timeout_s=180,
    )
    output = done.stdout.decode(errors="replace")
    for line in (done.stderr.decode(errors="replace") + output).splitlines():
        # Record lines of the offsets decoder carry the clients' own words.
        if COMPLAINT.search(line.split(" payload: ")[0]):
            raise Difference(f"DumpLogSegments {' '.join(options)} said: {line}")
    missing = [path for path in files if f"Dumping {path}" not in output]
    check(not missing, f"not dumped: {missing[:3]}; the end was:\n{tail(done.stdout)}")
    return output


def counted(files: list[Path]) -> None:
    """The records that the tool counts in the real data's logs are the ones that went in."""
    real = [path for path in files if "/real-kcat-java-" in str(path)]
    check(bool(real), "the real data left no log files")
    output = accept(real)
    counts = [int(count) for count in re.findall(r"^baseOffset:.*? count: (\d+)", output, re.M)]
    from .real_data import rows

    check(sum(counts) == len(rows()), f"{sum(counts)} records in the files, {len(rows())} went in")


@story("flumen log verify accepts every file of the stopped broker")
def verify(stage: Stage) -> None:
    if not isinstance(stage.broker, Flumen):
        raise Skipped("the tool is flumen's")
    stage.broker.stop()
    try:
        verified = run([stage.broker.binary, "log", "verify", stage.broker.log_root])
        check(b"\tok\n" in verified.stdout, verified.stdout.decode())
    finally:
        stage.broker.start()
