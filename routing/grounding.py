"""Grounding: what the customer's documents say on a question, for this caller.

There are no collections yet, so nothing is retrieved; the stage runs and its (empty) sources are recorded.
"""

from pydantic import BaseModel


class Source(BaseModel):
    """One passage that an answer was grounded in."""

    collection: str
    document: str
    title: str


async def ground() -> list[Source]:
    return []
