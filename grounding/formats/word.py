"""Word (.docx): Office Open XML, ISO/IEC 29500. Of the archive, only the text and its styles are read.

Text that was deleted with changes tracked is left out, as are the codes of fields.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator

from lxml import etree

from grounding.blocks import Collector, Kind, table
from grounding.errors import Damaged, Encrypted, TooLarge

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"
_OFFICE_DOCUMENT = "/officeDocument"
_ENCRYPTED_FLAG = 0x1
_DEEPEST = 100
"""Of styles that are based on each other."""


def read(data: bytes, into: Collector) -> None:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _check_size(archive, into)
            main = _main_part(archive)
            body = _parsed(archive, main).find(f"{_W}body")
            styles = _styles(archive, main)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError, etree.XMLSyntaxError) as error:
        raise Damaged from error
    if body is None:
        raise Damaged
    _Body(into, styles).read(body)


def _check_size(archive: zipfile.ZipFile, into: Collector) -> None:
    """By what the archive says: of each file no more than that is unpacked."""
    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > into.limits.unpacked_bytes or len(entries) > into.limits.pages * 10:
        raise TooLarge("The document unpacks to more than may be read.")
    if any(entry.flag_bits & _ENCRYPTED_FLAG for entry in entries):
        raise Encrypted


def _main_part(archive: zipfile.ZipFile) -> str:
    for relationship in _parsed(archive, "_rels/.rels"):
        if relationship.get("Type", "").endswith(_OFFICE_DOCUMENT):
            return str(relationship.get("Target", "")).lstrip("/")
    raise Damaged


def _parsed(archive: zipfile.ZipFile, name: str) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True
    )
    root = etree.fromstring(archive.read(name), parser)
    if root.getroottree().docinfo.doctype:  # Office writes none: ECMA-376 part 2, 10.2.3 forbids it
        raise Damaged
    return root


def _styles(archive: zipfile.ZipFile, main: str) -> dict[str, str]:
    """What each style is, by its id: its own name or that of the heading, list or code style that it is based on."""
    name = main.rpartition("/")[0] + "/styles.xml"
    if name not in archive.namelist():
        return {}
    names: dict[str, str] = {}
    bases: dict[str, str] = {}
    for style in _parsed(archive, name).iter(f"{_W}style"):
        style_id = style.get(f"{_W}styleId", "")
        names[style_id] = _value(style, "name").lower()
        bases[style_id] = _value(style, "basedOn")
    found: dict[str, str] = {}
    for style_id in names:
        at = style_id
        for _ in range(_DEEPEST):
            if at not in names or _kind(names[at])[0] is not Kind.PARAGRAPH:
                break
            at = bases[at]
        found[style_id] = names.get(at, "")
    return found


def _value(element: etree._Element, tag: str) -> str:
    child = element.find(_W + tag)
    return "" if child is None else str(child.get(f"{_W}val", ""))


def _kind(style: str) -> tuple[Kind, int | None]:
    """What a paragraph of a built-in style is. Their names are English in the file, whatever Word's language."""
    word, _, number = style.partition(" ")
    if word == "heading" and number.isdigit():
        return Kind.HEADING, int(number)
    if style == "title":
        return Kind.HEADING, 0
    if word == "list":
        return Kind.LIST, None
    return (Kind.CODE, None) if style in ("html preformatted", "macro text", "code") else (Kind.PARAGRAPH, None)


class _Body:
    def __init__(self, into: Collector, styles: dict[str, str]) -> None:
        self._into = into
        self._styles = styles
        self._gathered: list[str] = []
        self._gathering = Kind.LIST

    def read(self, body: etree._Element) -> None:
        for element in _children(body):
            if element.tag == f"{_W}tbl":
                self._flush()
                self._into.add(Kind.TABLE, table([_cells(row) for row in _rows(element)]))
            elif element.tag == f"{_W}p":
                self._paragraph(element)
        self._flush()

    def _paragraph(self, element: etree._Element) -> None:
        properties = element.find(f"{_W}pPr")
        style = "" if properties is None else self._styles.get(_value(properties, "pStyle"), "")
        kind, level = _kind(style)
        if kind is Kind.PARAGRAPH and properties is not None and properties.find(f"{_W}numPr") is not None:
            kind = Kind.LIST
        text = _text(element)
        if kind in (Kind.LIST, Kind.CODE):
            if kind is not self._gathering:
                self._flush()
            self._gathering = kind
            self._gathered.append(f"- {text.strip()}" if kind is Kind.LIST else text)
            return
        self._flush()
        self._into.add(kind, text, level=level)

    def _flush(self) -> None:
        self._into.add(self._gathering, "\n".join(self._gathered))
        self._gathered = []


def _children(element: etree._Element) -> Iterator[etree._Element]:
    """The paragraphs and tables of a body, those in content controls and insertions too."""
    for child in element:
        if child.tag in (f"{_W}p", f"{_W}tbl"):
            yield child
        elif child.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"):
            yield from _children(child)


def _rows(tbl: etree._Element) -> Iterator[etree._Element]:
    for child in tbl:
        if child.tag == f"{_W}tr":
            yield child
        elif child.tag in (f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"):
            yield from _rows(child)


def _cells(row: etree._Element) -> list[str]:
    """Each cell once, however many columns it says it spans."""
    cells = row.iterchildren(f"{_W}tc", f"{_W}sdt")
    return [" ".join(_text(paragraph).strip() for paragraph in cell.iter(f"{_W}p")) for cell in cells]


def _text(element: etree._Element) -> str:
    pieces: list[str] = []
    for child in element:
        if child.tag == f"{_W}t":
            pieces.append(child.text or "")
        elif child.tag in (f"{_W}tab", f"{_W}ptab"):
            pieces.append("\t")
        elif child.tag in (f"{_W}br", f"{_W}cr"):
            pieces.append("\n")
        elif child.tag not in (_FALLBACK, f"{_W}pPr", f"{_W}rPr"):
            pieces.append(_text(child))
            if child.tag == f"{_W}p":  # of a text box
                pieces.append("\n")
    return "".join(pieces)
