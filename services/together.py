"""Group commit: what is wanted while a call is under way goes with the next call, and with whatever else came.

In a lull each is called for at once and alone. There is one call at a time for each key, and the more is wanted, the
more each call carries. Where what is wanted can wait a little, a pause after the beginning of a call gathers more for
the next one: a burst then takes few calls, and leaves the machine to what cannot wait.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence

type Outcomes[Outcome] = Sequence[Outcome | Exception]


class Together[Key: Hashable, Item, Outcome]:
    """``call`` is given a key and at most ``most`` items, and returns for each what came of it, in their order.

    ``pause`` seconds are at least between the beginnings of two calls for a key, unless ``most`` items wait for one.
    """

    def __init__(
        self, call: Callable[[Key, Sequence[Item]], Awaitable[Outcomes[Outcome]]], most: int, pause: float = 0.0
    ) -> None:
        self._call = call
        self._most = most
        self._pause = pause
        self._waiting: dict[Key, deque[tuple[Item, asyncio.Future[Outcome]]]] = {}
        """An entry for each key with a call under way, or a pause."""
        self._calling: set[asyncio.Task[None]] = set()

    async def add(self, key: Key, item: Item) -> Outcome:
        """What came of the item; raises what went wrong with it, or with the call.

        Whoever stops waiting before their call has begun is left out of it; one that has begun goes on without them.
        """
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if key in self._waiting:
            self._waiting[key].append((item, outcome))
        else:
            self._waiting[key] = deque([(item, outcome)])
            calling = asyncio.create_task(self._call_for(key))
            self._calling.add(calling)
            calling.add_done_callback(self._calling.discard)
        return await outcome

    async def _call_for(self, key: Key) -> None:
        """Until nobody waits for this key any more."""
        waiting, time = self._waiting[key], asyncio.get_running_loop().time
        while waiting:
            next_call = time() + self._pause
            group = [waiting.popleft() for _ in range(min(len(waiting), self._most))]
            if group := [(item, outcome) for item, outcome in group if not outcome.done()]:
                await self._call_with(key, group)
                if self._pause and len(waiting) < self._most:
                    await asyncio.sleep(next_call - time())
        del self._waiting[key]

    async def _call_with(self, key: Key, group: Sequence[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        came: Outcomes[Outcome]
        try:
            came = await self._call(key, [item for item, _ in group])
        except Exception as error:  # whatever it is, it is theirs who wait
            came = [error] * len(group)
        for (_, outcome), each in zip(group, came, strict=True):
            if outcome.done():
                continue
            if isinstance(each, Exception):
                outcome.set_exception(each)
            else:
                outcome.set_result(each)
            await asyncio.sleep(0)  # what they do next, one by one: a large group would hold up everybody else
