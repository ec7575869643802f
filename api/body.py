"""Request bodies: JSON by content type, of a declared shape, within a size. And queries, of a declared shape."""

from fastapi import Request
from pydantic import BaseModel, TypeAdapter, ValidationError

from governance.problems import Problem, ProblemError

TEXT_CHARACTERS = 20_000
"""Of all text together, unless an operation says otherwise."""
MOST_BYTES_A_CHARACTER = 12
"""In JSON: a surrogate pair written as two escapes."""
ENVELOPE_BYTES = 4096
"""Whatever is around the text."""


class Malformed(ProblemError):
    """The body or the query is not what this route takes; the detail says what is wrong with it, without quoting it."""

    type = "malformed"

    def problem(self) -> Problem:
        return Problem(type=self.type, detail=str(self))


class WrongContentType(ProblemError):
    """The body is not JSON by its Content-Type."""

    type = "wrong-content-type"
    detail = "Send application/json."


class TooLarge(ProblemError):
    """The text is longer than the limit."""

    type = "too-large"

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self._limit = limit

    def problem(self) -> Problem:
        return Problem(type=self.type, detail=f"The text may have at most {self._limit:,} characters.")


async def read_body[Body](req: Request, shape: type[Body], most_characters: int) -> Body:
    """The body, of at most so many characters of text.

    Raises :class:`WrongContentType`, :class:`TooLarge`, :class:`Malformed`.
    """
    if req.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongContentType
    body = bytearray()
    async for piece in req.stream():
        body += piece
        if len(body) > most_characters * MOST_BYTES_A_CHARACTER + ENVELOPE_BYTES:
            raise TooLarge(most_characters)
    try:
        return TypeAdapter(shape).validate_json(bytes(body))
    except ValidationError as error:
        raise Malformed(_what_is_wrong(error)) from None


def read_query[Query: BaseModel](req: Request, shape: type[Query]) -> Query:
    """What follows the question mark. Raises :class:`Malformed`."""
    asked = dict(req.query_params)
    if len(asked) < len(req.query_params.multi_items()):
        raise Malformed("query: a name is there twice")
    try:
        return shape.model_validate(asked)
    except ValidationError as error:
        raise Malformed(_what_is_wrong(error)) from None


def _what_is_wrong(error: ValidationError) -> str:
    """Which members, and why; never what was in them."""
    problems = error.errors(include_input=False, include_context=False, include_url=False)
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['type'].replace('_', ' ')}"
        for problem in problems
    )
