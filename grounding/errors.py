"""Why a document can't be read. The text of each is for whoever uploaded it, and quotes nothing of the document."""


class DocumentRefused(Exception):
    """No blocks: the reason is the exception's text."""

    reason = "The document can't be read."

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason or self.reason)


class UnknownType(DocumentRefused):
    reason = "This kind of file isn't read: upload a PDF, Word (.docx), HTML, Markdown or text file."


class Encrypted(DocumentRefused):
    reason = "The document is protected by a password: upload it without one."


class WithoutText(DocumentRefused):
    reason = "The document holds no text."


class Scanned(WithoutText):
    reason = "The pages are pictures without text, as from a scanner: upload a version with text recognition (OCR)."


class Damaged(DocumentRefused):
    reason = "The file is damaged or incomplete: open it, save it anew and upload that."


class TooLarge(DocumentRefused):
    reason = "The document is too large."


class TooSlow(DocumentRefused):
    reason = "The document took too long to read: split it, or save it in a simpler form."
