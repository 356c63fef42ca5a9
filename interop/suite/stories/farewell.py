"""The end of the drivers that the clients shared."""

from __future__ import annotations

from ..clients.driven import Driven
from ..report import Stage, story


@story("every driver exits when its input ends")
def farewell(stage: Stage) -> None:
    for client in stage.clients.values():
        if isinstance(client, Driven):
            client.close()
