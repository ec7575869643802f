"""Tables as comma-separated values (RFC 4180), safe to open in a spreadsheet."""

import csv
import io
import json
from collections.abc import Iterable

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for one: https://owasp.org/www-community/attacks/CSV_Injection."""


def csv_line(values: Iterable[object]) -> str:
    """One line of a table: nothing where there is None, JSON for lists and members."""
    line = io.StringIO()
    csv.writer(line).writerow([_cell(value) for value in values])
    return line.getvalue()


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
    text = str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not isinstance(value, int) else text
