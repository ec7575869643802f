"""Documents that the tests read, made by the tools that people make them with."""

import io
import zipfile
from collections.abc import Sequence

from docx import Document
from PIL import Image, ImageDraw
from pypdf import PdfReader, PdfWriter
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Frame, PageTemplate, Paragraph

_WIDTH, _HEIGHT = A4


def pdf(pages: Sequence[Sequence[str]]) -> bytes:
    """A line of text each; one that begins with ``# `` is written larger."""
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=A4)
    for page in pages:
        y = _HEIGHT - 72
        for line in page:
            heading = line.startswith("# ")
            canvas.setFont("Helvetica-Bold" if heading else "Helvetica", 18 if heading else 11)
            canvas.drawString(72, y, line.removeprefix("# "))
            y -= 30 if heading else 14
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def two_columns(paragraphs: Sequence[str]) -> bytes:
    out = io.BytesIO()
    document = BaseDocTemplate(out, pagesize=A4)
    frames = [Frame(left, 600, 230, 180) for left in (50, 310)]
    document.addPageTemplates(PageTemplate(frames=frames))
    document.build([Paragraph(text, getSampleStyleSheet()["BodyText"]) for text in paragraphs])
    return out.getvalue()


def scanned(text: str) -> bytes:
    """A picture of the text, and no letter of it."""
    picture = Image.new("L", (600, 800), 255)
    ImageDraw.Draw(picture).text((50, 50), text)
    out = io.BytesIO()
    picture.save(out, "PDF")
    return out.getvalue()


def with_password(document: bytes, password: str) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(document)))
    writer.encrypt(password, owner_password="owner", algorithm="AES-256")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def word() -> bytes:
    """A title, two sections, a list and a table whose last row is merged into one cell."""
    document = Document()
    document.add_heading("Travel policy", 0)
    document.add_heading("Flights", 1)
    document.add_paragraph("Book economy.")
    document.add_paragraph("Ask first", style="List Bullet")
    document.add_paragraph("Keep receipts", style="List Bullet")
    document.add_heading("Rates", 2)
    table = document.add_table(rows=3, cols=2)
    for row, texts in zip(table.rows, [("Country", "Rate"), ("Norway", "90 EUR"), ("Others: 60 EUR", "")], strict=True):
        for cell, text in zip(row.cells, texts, strict=True):
            cell.text = text
    table.cell(2, 0).merge(table.cell(2, 1))
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def repacked(document: bytes, changed: dict[str, bytes]) -> bytes:
    """The archive with files of it put in place of others, or beside them."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(document)) as before, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as after:
        for name in before.namelist():
            if name not in changed:
                after.writestr(name, before.read(name))
        for name, content in changed.items():
            after.writestr(name, content)
    return out.getvalue()
