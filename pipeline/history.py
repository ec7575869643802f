"""How much of a conversation goes to the model: the latest of it that leaves room for the question and the answer."""

from collections.abc import Sequence
from contextlib import suppress

from governance.request import Turn
from routing.endpoints import EndpointUnknown, find_endpoint
from services.documents import Items

BYTES_PER_TOKEN = 2
"""Of UTF-8, at least: English has some four, Chinese three, program text two and a half. Too low a guess leaves out a
turn that would have fitted; too high a one has the question refused."""
MESSAGE_TOKENS = 16
"""What a chat template adds around one message, at most."""


def tokens(text: str) -> int:
    """How many tokens a text has, at most, with what is around it in a chat."""
    return len(text.encode()) // BYTES_PER_TOKEN + MESSAGE_TOKENS


def fitting(turns: Sequence[Turn], room: int) -> list[Turn]:
    """The latest of them that have no more tokens than that, from a question on: an answer alone says nothing."""
    start = len(turns)
    for index in range(len(turns) - 1, -1, -1):
        room -= tokens(turns[index].content)
        if room < 0:
            break
        if turns[index].role == "user":
            start = index
    return list(turns[start:])


async def room_for(config: Items, endpoints: Sequence[str], most_output: int) -> int:
    """Tokens of a question with all that goes before it: what the smallest of the endpoints takes, without the answer.

    One that is not configured any more counts for nothing: it will not be called.
    """
    rooms = []
    for endpoint_id in endpoints:
        with suppress(EndpointUnknown):
            endpoint = await find_endpoint(config, endpoint_id)
            rooms.append(endpoint.context_tokens - min(most_output, endpoint.output_tokens))
    return min(rooms, default=0)
