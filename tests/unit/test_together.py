"""Group commit: what is wanted while a call is under way goes with the next one."""

import asyncio
import itertools
from collections.abc import Sequence

import pytest

from services.together import Outcomes, Together

pytestmark = pytest.mark.asyncio


class Doubling:
    """Doubles numbers, as soon as it may; a negative one goes wrong by itself, and 13 takes all the others along."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[int]]] = []
        self.may = asyncio.Event()
        self.together = Together[str, int, int](self._double, most=3)
        self.pausing = Together[str, int, int](self._double, most=3, pause=0.05)

    async def _double(self, key: str, items: Sequence[int]) -> Outcomes[int]:
        self.calls.append((key, list(items)))
        await self.may.wait()
        if 13 in items:
            raise LookupError(key)
        return [ValueError(each) if each < 0 else 2 * each for each in items]

    def adding(self, key: str, *items: int) -> list[asyncio.Task[int]]:
        return [asyncio.create_task(self.together.add(key, each)) for each in items]


async def begun(doubling: Doubling, calls: int) -> None:
    async with asyncio.timeout(5):
        while len(doubling.calls) < calls:
            await asyncio.sleep(0)


async def test_when_nothing_is_under_way_then_it_is_called_for_alone_and_the_rest_goes_together() -> None:
    doubling = Doubling()
    adding = doubling.adding("a", 1)
    await begun(doubling, 1)
    adding += doubling.adding("a", 2, 3, 4, 5)
    await asyncio.sleep(0)
    doubling.may.set()
    assert await asyncio.gather(*adding) == [2, 4, 6, 8, 10]
    assert doubling.calls == [("a", [1]), ("a", [2, 3, 4]), ("a", [5])]


async def test_when_it_is_for_another_key_then_it_does_not_wait() -> None:
    doubling = Doubling()
    adding = [*doubling.adding("a", 1), *doubling.adding("b", 2)]
    await begun(doubling, 2)
    doubling.may.set()
    assert await asyncio.gather(*adding) == [2, 4]
    assert doubling.calls == [("a", [1]), ("b", [2])]


async def test_when_one_goes_wrong_then_only_whoever_asked_for_it_is_told() -> None:
    doubling = Doubling()
    doubling.may.set()
    came = await asyncio.gather(*doubling.adding("a", 1, 2, -3, 4), return_exceptions=True)
    assert came[:2] == [2, 4]
    assert isinstance(came[2], ValueError)
    assert came[3] == 8


async def test_when_the_call_goes_wrong_then_all_of_it_are_told_and_the_next_call_is_made() -> None:
    doubling = Doubling()
    doubling.may.set()
    came = await asyncio.gather(*doubling.adding("a", 1, 2, 13, 4, 5), return_exceptions=True)
    assert [type(each) for each in came] == [LookupError, LookupError, LookupError, int, int]


async def test_when_somebody_stops_waiting_then_they_are_left_out_unless_their_call_has_begun() -> None:
    doubling = Doubling()
    [first] = doubling.adding("a", 1)
    await begun(doubling, 1)
    second, third = doubling.adding("a", 2, 3)
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    doubling.may.set()
    assert await third == 6
    assert doubling.calls == [("a", [1]), ("a", [3])]


async def test_when_nobody_waits_any_more_then_nothing_is_kept() -> None:
    doubling = Doubling()
    doubling.may.set()
    for key in "abc":
        assert await doubling.together.add(key, 1) == 2
    for _ in range(2):
        await asyncio.sleep(0)
    assert not doubling.together._waiting
    assert not doubling.together._calling


async def test_when_it_pauses_then_the_first_goes_at_once_and_who_comes_meanwhile_goes_together() -> None:
    doubling = Doubling()
    doubling.may.set()
    began = asyncio.get_running_loop().time()
    assert await doubling.pausing.add("a", 1) == 2
    assert await asyncio.gather(*(doubling.pausing.add("a", each) for each in (2, 3))) == [4, 6]
    assert asyncio.get_running_loop().time() - began >= 0.05
    assert doubling.calls == [("a", [1]), ("a", [2, 3])]


async def test_when_as_many_wait_as_fit_then_there_is_no_pause() -> None:
    doubling = Doubling()
    adding = [asyncio.create_task(doubling.pausing.add("a", each)) for each in range(8)]
    doubling.may.set()
    assert await asyncio.gather(*adding) == [2 * each for each in range(8)]
    assert [items for _, items in doubling.calls] == [[0, 1, 2], [3, 4, 5], [6, 7]]


async def test_when_outcomes_are_told_then_others_get_their_turn_between_them() -> None:
    doubling, turns = Doubling(), list[str]()

    async def waiting(each: int) -> None:
        await doubling.together.add("a", each)
        turns.append("one of the group")

    async def somebody_else() -> None:
        while len(turns) < 5:
            turns.append("somebody else")
            await asyncio.sleep(0)

    group = [asyncio.create_task(waiting(each)) for each in range(3)]
    await begun(doubling, 1)
    doubling.may.set()
    await asyncio.gather(*group, somebody_else())
    told = [number for number, each in enumerate(turns) if each == "one of the group"]
    assert all(later - sooner > 1 for sooner, later in itertools.pairwise(told))
