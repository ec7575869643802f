"""What kind of file it is, by its content. Whatever it is called or said to be counts for nothing."""

import io
import re
import zipfile
from enum import StrEnum

from grounding.errors import Damaged, Encrypted, UnknownType
from grounding.formats.plain import decoded


class FileKind(StrEnum):
    PDF = "pdf"
    WORD = "word"
    HTML = "html"
    MARKDOWN = "markdown"
    TEXT = "text"


_HEAD = 1024
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_PAGE = re.compile(r"<(!doctype html|html|head|body)\b", re.IGNORECASE)
_FRAGMENT = re.compile(r"\s*<(script|iframe|h[1-6]|div|font|table|a|style|title|b|br|p|!--)", re.IGNORECASE)
"""How a page may begin that names no <html>: https://mimesniff.spec.whatwg.org/#identifying-a-resource-with-an-unknown-mime-type"""
_MARKDOWN = re.compile(
    r"^(#{1,6} \S|```|~~~|\|? ?:?-{3,}:? ?\||[-*+] \S|\d+\. \S|.+\n={3,}$)|\[[^\]\n]+\]\([^)\s]+\)|\*\*\S", re.MULTILINE
)
_SAMPLE = 200_000


def kind_of(data: bytes) -> FileKind:
    """Raises :class:`UnknownType`, :class:`Encrypted`, :class:`Damaged`."""
    if b"%PDF-" in data[:_HEAD]:  # ISO 32000-1, Annex H.3.4.1: within the first 1024 bytes
        return FileKind.PDF
    if data.startswith(b"PK\x03\x04"):
        return _kind_of_archive(data)
    if data.startswith(_OLE):  # [MS-OFFCRYPTO] 2.3: an Office file with a password is one of these
        if "EncryptedPackage".encode("utf-16-le") in data:
            raise Encrypted
        raise UnknownType("Office files of before 2007 aren't read: save it as .docx or PDF.")
    if data.startswith(b"{\\rtf"):
        raise UnknownType
    text = decoded(data)
    if _PAGE.search(text[:_HEAD]):
        return FileKind.HTML
    if _MARKDOWN.search(text[:_SAMPLE]):
        return FileKind.MARKDOWN
    return FileKind.HTML if _FRAGMENT.match(text[:_HEAD]) else FileKind.TEXT


def _kind_of_archive(data: bytes) -> FileKind:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise Damaged from error
    if "[Content_Types].xml" not in names:
        raise UnknownType
    if any(name.startswith("xl/") for name in names):
        raise UnknownType("Excel workbooks aren't read: save the sheets that matter as PDF or HTML.")
    if any(name.startswith("ppt/") for name in names):
        raise UnknownType("PowerPoint files aren't read: save it as PDF.")
    if not any(name.startswith("word/") for name in names):
        raise UnknownType
    return FileKind.WORD
