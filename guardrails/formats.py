"""What shape an answer must have: JSON of a schema, no code, links to listed sites only, a language, a length, sources.

A rule that is not met is a finding at the place in the answer where it shows, or of the whole answer.
"""

import functools
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import regex  # type: ignore[import-untyped]
from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import ValidationError as NotOfSchema
from pydantic import BaseModel, ConfigDict, Field, field_validator
from referencing import Registry
from referencing.exceptions import Unresolvable

from guardrails.verdict import Action, Finding

type Place = tuple[int, int]

CATEGORY = "output-format"
SEARCH_SECONDS = 1.0
LONGEST_SCHEMA = 20_000
"""Characters of a JSON schema."""
FEWEST_LETTERS = 40
"""Of a text whose language can be told."""
NOT_PATTERNS = frozenset({"pattern", "patternProperties", "$dynamicRef"})
"""Keywords that are refused: regular expressions that nothing can interrupt."""


class _Rule(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    action: Literal[Action.BLOCK, Action.WARN]


class Json(_Rule):
    """The answer is JSON, alone or as one fenced block, that the schema (JSON Schema 2020-12) takes."""

    rule: Literal["json"]
    json_schema: dict[str, Any] = {}

    @field_validator("json_schema")
    @classmethod
    def _can_be_checked(cls, schema: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(schema)) > LONGEST_SCHEMA:
            raise ValueError("too long")
        if refused := NOT_PATTERNS & set(_keywords(schema)):
            raise ValueError(f"{', '.join(sorted(refused))} can't be checked within a time limit")
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError:
            raise ValueError("not a JSON schema") from None
        return schema

    def broken(self, answer: str, sources: int) -> Iterator[Place]:  # noqa: ARG002
        try:
            value = json.loads(_unfenced(answer))
            # With a registry of its own it has nowhere to fetch a $ref from.
            Draft202012Validator(self.json_schema, registry=Registry()).validate(value)
        except (ValueError, RecursionError, NotOfSchema, Unresolvable):
            yield 0, len(answer)


class NoCode(_Rule):
    """No program text: fenced blocks, scripts in HTML or PHP, the first line of a script."""

    rule: Literal["no-code"]

    def broken(self, answer: str, sources: int) -> Iterator[Place]:  # noqa: ARG002
        for match in _CODE.finditer(answer, timeout=SEARCH_SECONDS):
            yield match.span()


class Links(_Rule):
    """No links but to these sites and what is below them; none at all for an empty list."""

    rule: Literal["links"]
    domains: Annotated[list[Annotated[str, Field(pattern=r"^[a-z0-9\-]+(\.[a-z0-9\-]+)*$")]], Field(max_length=100)]

    def broken(self, answer: str, sources: int) -> Iterator[Place]:  # noqa: ARG002
        for run in _RUN.finditer(answer, timeout=SEARCH_SECONDS):
            link = _link_in(run.group())
            if link and not self._allows(_host(link)):
                start = run.start() + run.group().index(link)
                yield start, start + len(link)

    def _allows(self, host: str) -> bool:
        return any(host == domain or host.endswith(f".{domain}") for domain in self.domains)


class Language(_Rule):
    """The answer is in one of these languages (ISO 639-1), as far as a few words let one tell."""

    rule: Literal["language"]
    languages: Annotated[list[Annotated[str, Field(pattern="^[a-z]{2}$")]], Field(min_length=1, max_length=20)]

    @field_validator("languages")
    @classmethod
    def _can_be_told(cls, languages: list[str]) -> list[str]:
        if unknown := sorted(set(languages) - set(_identifier().labels)):
            raise ValueError(f"can't be told: {', '.join(unknown)}")
        return languages

    def broken(self, answer: str, sources: int) -> Iterator[Place]:  # noqa: ARG002
        if sum(character.isalpha() for character in answer) >= FEWEST_LETTERS:
            language, _ = _identifier().classify(answer)
            if language not in self.languages:
                yield 0, len(answer)


class Length(_Rule):
    """At most so many characters."""

    rule: Literal["length"]
    most_characters: int = Field(ge=1)

    def broken(self, answer: str, sources: int) -> Iterator[Place]:  # noqa: ARG002
        if len(answer) > self.most_characters:
            yield self.most_characters, len(answer)


class Citations(_Rule):
    """The answer cites a source, ``[1]``, and none that there isn't."""

    rule: Literal["citations"]

    def broken(self, answer: str, sources: int) -> Iterator[Place]:
        cited = list(_CITATION.finditer(answer, timeout=SEARCH_SECONDS))
        if not cited:
            yield 0, len(answer)
        for match in cited:
            if not 1 <= int(match.group(1)) <= sources:
                yield match.span()


type OutputRule = Annotated[Json | NoCode | Links | Language | Length | Citations, Field(discriminator="rule")]


def misshapen(answer: str, rules: list[OutputRule], sources: int) -> list[Finding]:
    """Where the answer, which was given so many sources, is not as the rules want it.

    Raises TimeoutError for a text that a rule takes too long for.
    """
    return [
        Finding(category=CATEGORY, rule=rule.rule, start=start, end=end, confidence=1.0, action=rule.action)
        for rule in rules
        for start, end in rule.broken(answer, sources)
    ]


_CODE = regex.compile(r"```|~~~|<script\b|<\?php\b|\A#!", regex.IGNORECASE)
_RUN = regex.compile(r"""[^\s<>"'()\[\]{}|]+""")
_SCHEME = regex.compile(r"[a-z][a-z0-9+.\-]{0,30}\Z", regex.IGNORECASE)
_HOST = regex.compile(r"(?:[\p{L}\p{N}\-]++\.)+\p{L}{2,20}")
_AUTHORITY_END = regex.compile(r"[/\\?#]")
_TOP_LEVELS = (
    "com",
    "net",
    "org",
    "io",
    "co",
    "info",
    "biz",
    "app",
    "dev",
    "xyz",
    "top",
    "ru",
    "cn",
    "de",
    "uk",
    "eu",
    "fr",
)
"""Of host names that clients make a link of where they stand alone; any other needs ``www.``, a scheme or a path."""
_CITATION = regex.compile(r"\[(\d{1,4})\]")
_FENCED = regex.compile(r"\A\s*```(?:json)?\s*\n(.*)\n\s*```\s*\Z", regex.DOTALL | regex.IGNORECASE)


def _unfenced(answer: str) -> str:
    block = _FENCED.match(answer, timeout=SEARCH_SECONDS)
    return str(block.group(1)) if block else answer


def _link_in(run: str) -> str:
    """What a client would make a link of, in text without white space; empty if nothing."""
    run = run.rstrip(".,;:!?")
    before, separator, _ = run.partition("://")
    if separator and (scheme := _SCHEME.search(before)):
        return run[scheme.start() :]
    if (place := run.lower().find("mailto:")) >= 0:
        return run[place:]
    host = run.partition("/")[0].rpartition("@")[2]
    linked = "/" in run or host.lower().startswith("www.") or host.rpartition(".")[2].lower() in _TOP_LEVELS
    return run if linked and _HOST.fullmatch(host) else ""


def _host(link: str) -> str:
    """In the form that is looked up: lower case, ASCII (RFC 5891); nothing for what has none."""
    before, separator, after = link.partition("://")
    authority = _AUTHORITY_END.split(after if separator else before, maxsplit=1)[0]
    host = authority.rpartition("@")[2].removeprefix("mailto:").partition(":")[0]
    try:
        return str(host.rstrip(".").encode("idna").decode("ascii").lower())
    except UnicodeError:
        return ""


def _keywords(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema
        for value in schema.values():
            yield from _keywords(value)
    elif isinstance(schema, list):
        for value in schema:
            yield from _keywords(value)


@functools.cache
def _identifier() -> Any:
    """Loaded from the package at first use; its model is plain arrays."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
