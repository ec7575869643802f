"""Markdown, with markdown-it-py: CommonMark and tables. Lists and tables stay as they were written."""

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from grounding.blocks import Collector, Kind
from grounding.formats import html
from grounding.formats.plain import decoded

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)---[ \t]*(?:\n|\Z)", re.DOTALL)
_WHOLE = {"bullet_list_open": Kind.LIST, "ordered_list_open": Kind.LIST, "table_open": Kind.TABLE}


def read(data: bytes, into: Collector) -> None:
    text = decoded(data).replace("\r\n", "\n").replace("\r", "\n")
    if front_matter := _FRONT_MATTER.match(text):
        into.add(Kind.CODE, front_matter[1])
        text = text[front_matter.end() :]
    lines = text.split("\n")
    done = 0
    """The line up to which a list or table has taken everything."""
    level: int | None = None
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        first, end = token.map or (done, done)
        if first < done:
            continue
        if token.type in _WHOLE:
            into.add(_WHOLE[token.type], "\n".join(lines[first:end]))
            done = end
        elif token.type == "heading_open":
            level = int(token.tag[1:])
        elif token.type == "inline":
            into.add(Kind.PARAGRAPH if level is None else Kind.HEADING, _text(token), level=level)
            level = None
        elif token.type in ("fence", "code_block"):
            into.add(Kind.CODE, token.content)
        elif token.type == "html_block":
            html.read_text(token.content, into)


def _text(inline: Token) -> str:
    """What a reader sees of a line: without the marks, and without HTML's tags."""
    pieces: list[str] = []
    for token in inline.children or ():
        if token.type in ("softbreak", "hardbreak"):
            pieces.append("\n")
        elif token.type == "image":
            pieces.append(_text(token))
        elif token.type != "html_inline":
            pieces.append(token.content)
    return "".join(pieces)
