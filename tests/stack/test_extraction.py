"""Documents read in a process of their own: what a file does there ends there."""

import asyncio
import zlib

import pytest

from pipeline.extraction import TOO_MUCH, DocumentRefused, extracted
from routing.collections import Chunking
from tests import documents


async def test_when_a_document_is_read_then_its_pieces_have_their_pages_and_headings() -> None:
    line = "An ordinary sentence that stands below the heading and is longer than it."
    pieces = await extracted(documents.pdf([["# Leave", line], ["# Travel", line, line]]), Chunking())
    assert [(each.headings, each.page) for each in pieces] == [(["Leave"], 1), (["Travel"], 2)]
    assert pieces[0].text == f"Leave\n\n{line}"


async def test_when_a_document_is_refused_then_the_reason_is_told() -> None:
    with pytest.raises(DocumentRefused, match="OCR"):
        await extracted(documents.scanned("Nobody reads this"), Chunking())
    with pytest.raises(DocumentRefused, match="password"):
        await extracted(documents.with_password(documents.pdf([["Secret"]]), "x"), Chunking())


def bomb(megabytes: int) -> bytes:
    """A PDF whose one page unpacks to so much."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"0 0 m " * 174_763) for _ in range(megabytes)) + packer.flush()
    parts = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>",
        b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed),
    ]
    objects = b"".join(b"%d 0 obj\n%s\nendobj\n" % (number, part) for number, part in enumerate(parts, start=1))
    return b"%PDF-1.4\n" + objects + b"trailer << /Root 1 0 R >>\n"


async def test_when_a_document_would_take_all_memory_or_time_then_it_is_refused_and_others_are_read_meanwhile() -> None:
    hostile = asyncio.create_task(extracted(bomb(2_000), Chunking(), seconds=3))
    assert await extracted(b"# Title\n\nA text.", Chunking())
    with pytest.raises(DocumentRefused):
        await hostile


async def test_when_reading_takes_too_much_processor_time_then_the_process_is_ended() -> None:
    many = documents.pdf([[f"This is page {number}."] for number in range(1_900)])
    with pytest.raises(DocumentRefused) as refused:
        await extracted(many, Chunking(), seconds=1)
    assert str(refused.value) in (
        TOO_MUCH,
        "The document took too long to read: split it, or save it in a simpler form.",
    )
