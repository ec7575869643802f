"""What a trail of changes must be: an unbroken chain."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

type Event = Mapping[str, Any]
"""``Before`` and ``After`` of it are looked at."""


def in_a_chain(events: Iterable[Event], first: Mapping[str, Any]) -> list[Event]:
    """The events in the order in which each begins with what the one before it ended with, from ``first`` on.

    Fails if there is no such order of all of them: a change was not told of, or something was told that never was.
    """
    beginning_with: dict[str, Event] = {}
    for event in events:
        before = json.dumps(event["Before"], sort_keys=True)
        assert before not in beginning_with, "two changes of the same"
        beginning_with[before] = event
    chain: list[Event] = []
    state = first
    while event := beginning_with.pop(json.dumps(state, sort_keys=True), {}):
        chain.append(event)
        state = event["After"]
    assert not beginning_with, "between two changes there is one that nobody told of, or one that never was"
    return chain
