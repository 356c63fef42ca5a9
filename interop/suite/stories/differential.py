"""The same requests to this broker and to Apache Kafka get the same answers."""

from __future__ import annotations

import re

from ..broker import STATE, ApacheKafka, empty_directory
from ..differential.asker import Asker
from ..differential.masks import differences, is_meant
from ..differential.scenes import SCENES, warm_up
from ..report import Stage, check, story

#: Differences that are printed; more only repeat themselves.
SHOWN_MAX = 100


@story("the same requests get the same answers as from apache-kafka")
def same_answers(stage: Stage) -> None:
    work = empty_directory(STATE / "run-reference")
    work.rmdir()
    reference = ApacheKafka(work)
    reference.start()
    try:
        found, compared = compare(stage.bootstrap, reference.bootstrap)
    finally:
        reference.discard()
    distinct = gathered(found)
    shown = distinct[:SHOWN_MAX] + ["…"] * (len(distinct) > SHOWN_MAX)
    check(not found, f"{len(found)} differences in {compared} answers:\n" + "\n".join(shown))
    check(compared > 500, f"only {compared} answers were compared")


def gathered(found: list[str]) -> list[str]:
    """Differences that are the same in several versions, as one line each."""
    versions: dict[str, list[str]] = {}
    for text in found:
        what = without_version(text)
        version = re.search(r" v(\d+)\b", text)
        versions.setdefault(what, []).append(version.group(1) if version else "-")
    seen = {what: ", ".join(dict.fromkeys(found_in)) for what, found_in in versions.items()}
    return [f"{what} (versions {found_in})" for what, found_in in seen.items()]


def without_version(text: str) -> str:
    """A difference, whichever version of the API it was found in."""
    return re.sub(r" v\d+\b", "", text, count=1)


def compare(here: str, there: str) -> tuple[list[str], int]:
    """Plays every scene on both brokers; gives the differences and the count of answers."""
    versions, expected = api_versions(here), api_versions(there)
    found = [
        f"ApiVersions: {key} is served as {span}, apache-kafka has {expected.get(key)}"
        for key, span in versions.items()
        if expected.get(key) != span
    ]
    compared = len(versions)
    for address in (here, there):
        warm_up(Asker(address, set(versions)))
    for name, scene in SCENES.items():
        askers = [Asker(address, set(versions)) for address in (here, there)]
        for asker in askers:
            try:
                scene(asker)
            finally:
                asker.close()
        ours, theirs = (asker.answers for asker in askers)
        compared += len(ours)
        if len(ours) != len(theirs):
            found.append(f"{name}: {len(ours)} answers where apache-kafka gave {len(theirs)}")
        for (label, answer), (_, wanted) in zip(ours, theirs):
            found += differences(f"{name}: {label}", answer, wanted)
    return [text for text in found if not is_meant(without_version(text))], compared


def api_versions(bootstrap: str) -> dict[int, tuple[int, int]]:
    """The versions that a broker advertises, by key."""
    asker = Asker(bootstrap, {18})
    answer = asker.send("ApiVersions", 3, client_software_name="suite", client_software_version="1")
    asker.close()
    return {row["api_key"]: (row["min_version"], row["max_version"]) for row in answer["api_keys"]}
