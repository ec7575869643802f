"""Request bodies: JSON by content type, of a declared shape, within a size."""

import azure.functions as func
from pydantic import BaseModel, ValidationError

from api.problems import Malformed, TooLarge, WrongContentType

MOST_BYTES_A_CHARACTER = 12
"""In JSON: a surrogate pair written as two escapes."""
ENVELOPE_BYTES = 4096
"""Whatever is around the text."""


def read_body[Body: BaseModel](req: func.HttpRequest, shape: type[Body], most_characters: int) -> Body:
    """The body, of at most so many characters of text.

    Raises :class:`WrongContentType`, :class:`TooLarge`, :class:`Malformed`.
    """
    if req.headers.get("Content-Type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongContentType
    body = req.get_body()
    if len(body) > most_characters * MOST_BYTES_A_CHARACTER + ENVELOPE_BYTES:
        raise TooLarge(most_characters)
    try:
        return shape.model_validate_json(body)
    except ValidationError as error:
        raise Malformed(_what_is_wrong(error)) from None


def _what_is_wrong(error: ValidationError) -> str:
    """Which members, and why; never what was in them."""
    problems = error.errors(include_input=False, include_context=False, include_url=False)
    return "; ".join(
        f"{'.'.join(str(part) for part in problem['loc']) or 'body'}: {problem['type'].replace('_', ' ')}"
        for problem in problems
    )
