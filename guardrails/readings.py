"""Every way in which a text must be read, so that nothing is hidden in the way it is written."""

from functools import lru_cache

from guardrails.disguises import undisguised
from guardrails.reading import Reading, as_typed, normalised


@lru_cache(maxsize=4)
def readings(text: str) -> tuple[Reading, ...]:
    """As it was typed; where they differ, in compatibility form; and without disguises.

    All of them count: normalising can also glue things together ("555-0123²" becomes "555-01232"). Several rules read
    the same text, so they are kept until :func:`forget`, which whoever checks a text calls when it is done.
    """
    typed = as_typed(text)
    compatible = typed if text.isascii() else normalised(text)
    plain = undisguised(compatible)
    found = [typed]
    for reading in (compatible, plain):
        if all(reading.text != other.text for other in found):
            found.append(reading)
    return tuple(found)


def forget() -> None:
    """Nothing of any text is kept."""
    readings.cache_clear()
