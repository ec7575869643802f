"""Ways in which a text is hidden from a reader who takes it as it stands, and the reading without them.

What is decoded stands for the whole of what it was encoded in: a finding in it is a finding of all of that.
"""

import base64
import binascii
import html
import re
from collections.abc import Callable, Iterator

from guardrails.reading import Reading

type Change = tuple[int, int, str]
"""What takes the place of `[start, end)` of a text."""

MOST_ROUNDS = 3
"""How often what was decoded is looked at again: an encoding may be within another."""

_PERCENT = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/_=-])[A-Za-z0-9+/_-]{16,}={0,2}")
_HEXADECIMAL = re.compile(r"(?<![0-9A-Fa-f])(?:[0-9A-Fa-f]{2}){10,}(?![0-9A-Fa-f])")
_SPACED = re.compile(r"(?<!\S)\S(?:[ \t]\S){4,}(?!\S)")
_SEPARATED_DIGITS = re.compile(r"(?<!\d)\d(?:[ \t._*/|,-]{1,2}\d){8,}(?!\d)")
_UNDERSCORED = re.compile(r"(?<=\d{2})_(?=\w)|(?<=\d[A-Z])_(?=\w)|(?<=[^\W_])_(?=[A-Z]{0,2}\d{4})")
"""Around a number, as in file names."""
_SPELT_ADDRESS = re.compile(
    r"\w(?P<at>\s{0,3}[\[({<]?\s?\bat\b\s?[\])}>]?\s{0,3})"
    r"[\w-]{1,63}(?P<rest>(?:\s{0,3}[\[({<]?\s?\bdot\b\s?[\])}>]?\s{0,3}[\w-]{2,63}){1,4})",
    re.IGNORECASE,
)
_SPELT_DOT = re.compile(r"\s{0,3}[\[({<]?\s?\bdot\b\s?[\])}>]?\s{0,3}(?=[\w-])", re.IGNORECASE)

_CONTINUED = bytes(range(0x80, 0xC0))
"""Bytes that no character of UTF-8 begins with."""
_READABLE = 0.9
"""Which part of what was decoded must be printable for it to be a text."""

LOOKALIKES = str.maketrans(
    "АВЕКМНОРСТУХІЈЅаеорсухіјѕԁԛԝһΑΒΕΖΗΙΚΜΝΟΡΤΥΧαονρτυχικ",
    "ABEKMHOPCTYXIJSaeopcyxijsdqwhABEZHIKMNOPTYXaovptuxik",
)
"""Cyrillic and Greek letters, and the Latin ones that they look like."""
_WORD = re.compile(r"[^\W\d_]+")
_LATIN = re.compile(r"[A-Za-z]")
_OTHER = re.compile(r"[\u0370-\u052f]")


def undisguised(reading: Reading) -> Reading:
    """The reading with everything decoded, joined and folded that can be; the same one if there is nothing."""
    for _ in range(MOST_ROUNDS):
        changed = reading
        for disguise in _DISGUISES:
            changed = rewritten(changed, list(disguise(changed.text)))
        if changed.text == reading.text:
            break
        reading = changed
    return reading


def rewritten(reading: Reading, changes: list[Change]) -> Reading:
    """The reading with its parts replaced (in order, without overlap); each new part stands for the old one."""
    if not changes:
        return reading
    text: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    kept_to = 0
    for start, end, new in [*changes, (len(reading.text), len(reading.text), "")]:
        text += [reading.text[kept_to:start], new]
        starts.extend(reading.starts[kept_to:start])
        ends.extend(reading.ends[kept_to:start])
        if new:
            source_start, source_end = reading.source(start, end)
            starts.extend([source_start] * len(new))
            ends.extend([source_end] * len(new))
        kept_to = end
    return Reading("".join(text), starts, ends)


def _lookalikes(text: str) -> Iterator[Change]:
    """Only in words that mix scripts: no language does."""
    if text.isascii():
        return
    for match in _WORD.finditer(text):
        if _LATIN.search(match.group()) and _OTHER.search(match.group()):
            yield from _letter_by_letter(match.start(), match.group(), match.group().translate(LOOKALIKES))


def _letter_by_letter(start: int, old: str, new: str) -> Iterator[Change]:
    for place, (before, after) in enumerate(zip(old, new, strict=True), start=start):
        if before != after:
            yield place, place + 1, after


def _percent_encoded(text: str) -> Iterator[Change]:
    for match in _PERCENT.finditer(text):
        yield from _decoded(match, bytes.fromhex(match.group().replace("%", "")).decode(errors="ignore"))


def _entities(text: str) -> Iterator[Change]:
    for match in _ENTITY.finditer(text):
        yield from _decoded(match, html.unescape(match.group()))


def _base64_encoded(text: str) -> Iterator[Change]:
    """Also of the alphabet for URLs, and of a run whose beginning is not there."""
    for match in _BASE64.finditer(text):
        run = match.group().rstrip("=").replace("-", "+").replace("_", "/")
        for skipped in range(4):
            decoded = _readable(_from_base64(run[skipped:]))
            if decoded:
                yield from _decoded(match, decoded)
                break


def _from_base64(run: str) -> bytes:
    whole = run[: len(run) - (len(run) % 4 == 1)]
    try:
        return base64.b64decode(whole + "=" * (-len(whole) % 4))
    except binascii.Error:
        return b""


def _hexadecimal(text: str) -> Iterator[Change]:
    for match in _HEXADECIMAL.finditer(text):
        yield from _decoded(match, _readable(bytes.fromhex(match.group())))


def _readable(data: bytes) -> str:
    """The text that the bytes are, empty if they are none. What a cut left of a character at the ends is left out."""
    for kept in range(len(data), max(len(data) - 4, 0), -1):
        try:
            text = data[:kept].lstrip(_CONTINUED).decode()
            break
        except UnicodeDecodeError:
            continue
    else:
        return ""
    printable = sum(character.isprintable() or character.isspace() for character in text)
    return text if text and printable >= _READABLE * len(text) else ""


def _decoded(match: re.Match[str], text: str) -> Iterator[Change]:
    if text and text != match.group():
        yield match.start(), match.end(), text


def _spaced_out(text: str) -> Iterator[Change]:
    """Single characters with a space between each: `4 1 1 1`, `j o e`."""
    for match in _SPACED.finditer(text):
        for place in range(match.start() + 1, match.end(), 2):
            yield place, place + 1, ""


def _separated_digits(text: str) -> Iterator[Change]:
    for match in _SEPARATED_DIGITS.finditer(text):
        for gap in re.finditer(r"\D+", match.group()):
            yield match.start() + gap.start(), match.start() + gap.end(), ""


def _underscored(text: str) -> Iterator[Change]:
    for match in _UNDERSCORED.finditer(text):
        yield *match.span(), " "


def _spelt_addresses(text: str) -> Iterator[Change]:
    """`joe at example dot com`."""
    for address in _SPELT_ADDRESS.finditer(text):
        yield *address.span("at"), "@"
        for dot in _SPELT_DOT.finditer(text, *address.span("rest")):
            yield *dot.span(), "."


_DISGUISES: tuple[Callable[[str], Iterator[Change]], ...] = (
    _lookalikes,
    _percent_encoded,
    _entities,
    _base64_encoded,
    _hexadecimal,
    _spaced_out,
    _separated_digits,
    _underscored,
    _spelt_addresses,
)
