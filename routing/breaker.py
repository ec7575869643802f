"""Which endpoints are out of order just now, as far as this worker has seen.

A broken endpoint is asked last, not never: what may be called is not this one's to say, and where there is no other, an
answer that may fail is better than none.
"""

import time
from collections import Counter
from collections.abc import Callable

FAILURES = 3
"""So many in a row and an endpoint is left alone."""
REST_SECONDS = 30.0
"""For so long. It is then tried again, and one more failure is enough."""


class Breaker:
    """One a worker."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: Counter[str] = Counter()
        self._rests_until: dict[str, float] = {}

    def worked(self, endpoint: str) -> None:
        self._failures.pop(endpoint, None)
        self._rests_until.pop(endpoint, None)

    def failed(self, endpoint: str, retry_after_seconds: float | None = None) -> None:
        """With a Retry-After it rests as long as it asks for, whatever became of earlier calls."""
        self._failures[endpoint] += 1
        rest = retry_after_seconds or 0.0
        if self._failures[endpoint] >= FAILURES:
            rest = max(rest, REST_SECONDS)
        self._rests_until[endpoint] = max(self._rests_until.get(endpoint, 0.0), self._clock() + rest)

    def rests(self, endpoint: str) -> bool:
        return self._clock() < self._rests_until.get(endpoint, 0.0)
