"""The same thing with several clients at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Iterable, TypeVar

from .processes import Failed

T = TypeVar("T")

#: As many as wait for each other's sake; more would only wait for the machine.
AT_ONCE_MAX = 6


def together(work: Callable[[T], None], whom: Iterable[T], name: Callable[[T], str]) -> None:
    """Does `work` with each; fails with the names and reasons of all that failed."""

    def attempt(one: T) -> str | None:
        try:
            work(one)
        except Exception as error:
            return f"{name(one)}: {type(error).__name__}: {error}"
        return None

    with ThreadPoolExecutor(AT_ONCE_MAX) as pool:
        failures = [failure for failure in pool.map(attempt, whom) if failure]
    if failures:
        raise Failed("\n".join(failures))
