"""The one thread of a process in which texts are analysed, off the event loop.

One, because analysis holds the interpreter most of the time, and because the engine is then built once and shared
without locks. Jobs run in order of arrival, so callers should hand over small ones: a long text then does not keep
others waiting, and what is left of a check that was given up is cancelled.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="guardrails")


async def analyse[**P, T](job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What the job returns or raises, from the analysis thread."""
    return await asyncio.get_running_loop().run_in_executor(_thread, lambda: job(*args, **kwargs))
