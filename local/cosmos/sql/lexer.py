"""Query text into tokens."""

import json
import re
from dataclasses import dataclass
from typing import Literal

from local.cosmos.sql.values import Value


class SqlError(Exception):
    """The query is not valid, or not supported. The message says which, and quotes at most one token."""


type Kind = Literal["number", "string", "parameter", "name", "keyword", "symbol", "end"]


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    """As written; a keyword in upper case."""
    value: Value = None
    """Of a literal."""


# All words that the language keeps for itself, also those of clauses that are not supported here: Azure takes none of
# them as a bare name either, so that a property of such a name is written c["value"].
_RESERVED = (
    "AND ARRAY AS ASC BETWEEN BY CASE CAST CONVERT CROSS DESC DISTINCT ELSE END ESCAPE EXISTS FALSE FOR "
    "FROM GROUP HAVING IN INNER INSERT INTO IS JOIN LEFT LIKE LIMIT NOT NULL OFFSET ON OR ORDER OUTER "
    "OVER RIGHT SELECT SET THEN TOP TRUE UDF UNDEFINED UPDATE VALUE WHEN WHERE WITH"
)
KEYWORDS = frozenset(_RESERVED.split())

_TOKEN = re.compile(
    r"""(?P<space>(?:\s|--[^\n]*)+)
      | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
      | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<parameter>@[A-Za-z_]\w*)
      | (?P<name>[A-Za-z_]\w*)
      | (?P<symbol><=|>=|!=|<>|[-+*/%=<>()\[\]{},.:])""",
    re.VERBOSE | re.DOTALL,
)


def tokens(text: str) -> list[Token]:
    """The tokens of a query, closed by one of kind ``end``."""
    found: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise SqlError(f"Syntax error, invalid token or unsupported operator '{text[position]}'.")
        position = match.end()
        if match.lastgroup != "space":
            found.append(_token(match.lastgroup, match.group()))
    found.append(Token("end", "end of query"))
    return found


def _token(kind: str | None, text: str) -> Token:
    match kind:
        case "number":
            return Token("number", text, int(text) if text.isdigit() else float(text))
        case "string":
            return Token("string", text, _unquoted(text))
        case "parameter":
            return Token("parameter", text)
        case "name":
            return Token("keyword", text.upper()) if text.upper() in KEYWORDS else Token("name", text)
        case _:
            return Token("symbol", "!=" if text == "<>" else text)


def _unquoted(literal: str) -> str:
    """A string literal's value: the escapes are those of JSON, plus the escaped single quote."""

    def as_json(match: re.Match[str]) -> str:
        return {"\\'": "'", '"': '\\"'}.get(match.group(), match.group())

    try:
        return str(json.loads('"' + re.sub(r'\\.|"', as_json, literal[1:-1], flags=re.DOTALL) + '"', strict=False))
    except ValueError as error:
        raise SqlError("Syntax error, invalid escape sequence in a string literal.") from error
