"""Every way in which a text must be read, so that nothing is hidden in the way it is written."""

from guardrails.disguises import undisguised
from guardrails.reading import Reading, as_typed, normalised


def readings(text: str) -> list[Reading]:
    """As it was typed; where they differ, in compatibility form; and without disguises.

    All of them count: normalising can also glue things together ("555-0123²" becomes "555-01232").
    """
    typed = as_typed(text)
    compatible = typed if text.isascii() else normalised(text)
    plain = undisguised(compatible)
    found = [typed]
    for reading in (compatible, plain):
        if all(reading.text != other.text for other in found):
            found.append(reading)
    return found
