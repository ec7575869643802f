"""HTML, with lxml: what a reader would see. Scripts, styles and what the page hides are left out."""

import re

from lxml import etree
from lxml import html as lxml_html

from grounding.blocks import Collector, Kind, table
from grounding.errors import Damaged
from grounding.formats.plain import decoded

_UNSEEN = ("script", "style", "template", "noscript", "iframe", "object", "embed", "svg", "math", "head", "select")
_INLINE = frozenset(
    (
        *(
            "a",
            "abbr",
            "acronym",
            "b",
            "bdi",
            "bdo",
            "big",
            "button",
            "cite",
            "code",
            "data",
            "del",
            "dfn",
            "em",
            "font",
        ),
        *("i", "img", "input", "ins", "kbd", "label", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span"),
        *("strike", "strong", "sub", "sup", "time", "tt", "u", "var", "wbr"),
    )
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_HIDDEN = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_CHARSET = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([\w-]{2,40})", re.IGNORECASE)
_HEAD = 1024


def read(data: bytes, into: Collector) -> None:
    read_text(_decoded(data), into)


def read_text(text: str, into: Collector) -> None:
    """Raises :class:`Damaged`."""
    parser = lxml_html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True)
    try:
        root = lxml_html.document_fromstring(text.encode("utf-8", "replace"), parser=parser, ensure_head_body=True)
        title = root.findtext(".//head/title")
        etree.strip_elements(root, *_UNSEEN, with_tail=False)
        for hidden in [element for element in root.iter() if _is_hidden(element)]:
            hidden.drop_tree()
        if title:
            into.add(Kind.HEADING, " ".join(title.split()), level=0)
        page = _Page(into)
        page.visit(root)
        page.flush()
    except (etree.ParserError, etree.XMLSyntaxError, RecursionError) as error:
        raise Damaged from error


def _decoded(data: bytes) -> str:
    """As the page says in its first 1024 bytes, if Python knows that encoding and it fits; else as any text."""
    declared = _CHARSET.search(data[:_HEAD])
    if declared:
        try:
            return data.decode(declared[1].decode("ascii"))
        except (LookupError, ValueError):
            pass
    return decoded(data)


def _is_hidden(element: etree._Element) -> bool:
    return "hidden" in element.attrib or bool(_HIDDEN.search(str(element.get("style", ""))))


class _Page:
    def __init__(self, into: Collector) -> None:
        self._into = into
        self._inline: list[str] = []

    def visit(self, element: etree._Element) -> None:
        tag = str(element.tag)
        if tag in _HEADINGS:
            self._add(Kind.HEADING, _line(element), _HEADINGS[tag])
        elif tag == "pre":
            self._add(Kind.CODE, "".join(element.itertext()))
        elif tag == "table" and element.find(".//table") is None:
            rows = [[_line(cell) for cell in row.iterchildren("th", "td")] for row in element.iter("tr")]
            self._add(Kind.PARAGRAPH, " ".join(_line(caption) for caption in element.iterchildren("caption")))
            self._add(Kind.TABLE, table(rows))
        elif tag in ("ul", "ol"):
            self._add(Kind.LIST, "\n".join(_items(element, 0)))
        elif tag == "br":
            self._inline.append("\n")
        else:
            self._descend(element, tag)

    def _descend(self, element: etree._Element, tag: str) -> None:
        if tag not in _INLINE:
            self.flush()
        self._inline.append(re.sub(r"\s+", " ", element.text or ""))
        for child in element:
            self.visit(child)
            self._inline.append(re.sub(r"\s+", " ", child.tail or ""))
        if tag not in _INLINE:
            self.flush()

    def _add(self, kind: Kind, text: str, level: int | None = None) -> None:
        self.flush()
        self._into.add(kind, text, level=level)

    def flush(self) -> None:
        self._into.add(Kind.PARAGRAPH, "".join(self._inline))
        self._inline = []


def _line(element: etree._Element) -> str:
    return " ".join(" ".join(element.itertext()).split())


def _items(element: etree._Element, depth: int) -> list[str]:
    """An item a line, those of a list within it indented below."""
    lines: list[str] = []
    own: list[str] = [element.text or ""]
    for child in element:
        if child.tag in ("ul", "ol"):
            lines += _items(child, depth + 1)
        elif child.tag == "li":
            lines += _item(child, depth)
        else:
            own.append(_line(child))
        own.append(child.tail or "")
    stray = " ".join(" ".join(own).split())
    return [stray, *lines] if stray else lines


def _item(element: etree._Element, depth: int) -> list[str]:
    own, below = [element.text or ""], []
    for child in element:
        if child.tag in ("ul", "ol"):
            below += _items(child, depth + 1)
        else:
            own.append(_line(child))
        own.append(child.tail or "")
    return ["  " * depth + "- " + " ".join(" ".join(own).split()), *below]
