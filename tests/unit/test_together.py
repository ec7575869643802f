"""Group commit: what is wanted while a call is under way goes with the next one."""

import asyncio
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
    await asyncio.sleep(0)
    assert not doubling.together._waiting
    assert not doubling.together._calling
