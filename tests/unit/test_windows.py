"""Windows of an answer: whatever the pieces in which it comes, nothing leaves that the whole check would not leave."""

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from guardrails.check import Checked, check
from guardrails.policy import Policy
from guardrails.topics import Side, Topic
from guardrails.undecided import HELD_CHARACTERS, undecided_from
from guardrails.verdict import Action
from pipeline.windows import Windows, may_stream

POLICY = Policy(
    id="p",
    version=1,
    acceptable_use=[
        Topic(id="merger", category="x", action=Action.BLOCK, phrases=["project heron is on"]),
        Topic(
            id="pattern", category="x", action=Action.BLOCK, patterns=[r"\bcode (?:alpha|beta)( +\w+){0,60} omega\b"]
        ),
    ],
)
SENTENCES = (
    "A good offer is short. ", "It says when. ", "Ask Mary Jones for more! ", "Write to mary.jones@example.com.\n",
    "Her card is 4111 1111 1111 1111. ", "Project Heron is late. ", "Project\nHeron is on. ", "Use code alpha. ",
    "Code beta " + "and so on " * 15 + "omega. ", "All the rest is known, and fills the page with words.\n\n",
)  # fmt: skip
FORBIDDEN = ("heron is on", "omega", "4111 1111", "mary.jones@example.com")


async def streamed(text: str, cuts: list[int]) -> tuple[list[str], Checked]:
    """What left after each piece, and the check of all."""
    left: list[str] = []

    async def look(all_of_it: str) -> Checked:
        return await check(all_of_it, POLICY, side=Side.ANSWER)

    async def undecided(all_of_it: str) -> int:
        return undecided_from(all_of_it, POLICY)

    async def release(all_of_it: str) -> None:
        left.append(all_of_it)

    windows = Windows(look, undecided, release)
    places = [0, *sorted({cut % (len(text) + 1) for cut in cuts}), len(text)]
    for start, end in itertools.pairwise(places):
        await windows.add(text[start:end])
    return left, await look(text)


@pytest.mark.claim("G1", "G2")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=12), st.lists(st.integers(0, 5000), max_size=12))
def test_when_an_answer_comes_in_any_pieces_then_what_leaves_is_what_the_whole_check_leaves(
    sentences: list[str], cuts: list[int]
) -> None:
    text = "".join(sentences)
    left, whole = asyncio.run(streamed(text, cuts))
    for window in left:
        assert not any(forbidden in " ".join(window.casefold().split()) for forbidden in FORBIDDEN)
        if whole.verdict.action is not Action.BLOCK:
            assert whole.text.startswith(window)
    assert left == sorted(left, key=len), "it only goes on"


def test_when_a_phrase_has_begun_then_what_follows_decides_and_nothing_of_it_leaves_before() -> None:
    before = "word " * 60
    assert undecided_from(before + "Project  Her", POLICY) <= len(before)
    assert undecided_from(before, POLICY) == len(before) - HELD_CHARACTERS
    long = "code beta " + "and so on " * 15
    assert undecided_from(before + long, POLICY) <= len(before), "as long as the pattern may go on"


def test_when_a_rule_looks_at_all_of_an_answer_then_none_of_it_streams() -> None:
    whole = Topic(id="j", category="x", action=Action.BLOCK, judge="Is it rude?")
    assert may_stream(POLICY)
    assert not may_stream(POLICY.model_copy(update={"restore": True}))
    assert not may_stream(POLICY.model_copy(update={"acceptable_use": [whole]}))
