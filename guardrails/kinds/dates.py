"""Dates and times of day."""

import re

from guardrails.kinds.recogniser import Recogniser

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|"
    r"Nov(?:ember)?|Dec(?:ember)?)\.?"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_YEAR = r"(?:1[89]|20)\d\d"
_CLOCK = r"(?:[01]?\d|2[0-3])[:.][0-5]\d(?::[0-5]\d)?(?:\.\d{1,6})?(?: ?[ap]\.?m\.?)?(?:Z|[+-]\d\d:?\d\d)?"

RECOGNISERS = (
    Recogniser(
        "DATE_TIME", "date in numbers",
        re.compile(
            rf"(?<![\w./-])(?:{_YEAR}([-/.])(?:0?[1-9]|1[0-2])\1{_DAY}(?:[T ]{_CLOCK})?"
            rf"|{_DAY}([-/.])(?:0?[1-9]|1[0-2])\2(?:{_YEAR}|\d\d)|(?:0?[1-9]|1[0-2])([-/.]){_DAY}\3(?:{_YEAR}|\d\d))(?![\w/-]|\.\d)"
        ), 0.7,
    ),
    Recogniser(
        "DATE_TIME", "date with month",
        re.compile(
            rf"(?<![\w])(?:{_DAY}(?:st|nd|rd|th)?\.?(?: of)? {_MONTH}(?:,? {_YEAR})?"
            rf"|{_MONTH} {_DAY}(?:st|nd|rd|th)?(?:,? {_YEAR})?"
            rf"|{_MONTH},? {_YEAR})(?!\w)", re.IGNORECASE,
        ), 0.7,
    ),
    Recogniser("DATE_TIME", "time of day", re.compile(rf"(?<![\w:.]){_CLOCK}(?![\w:])", re.IGNORECASE), 0.4),
    Recogniser(
        "DATE_TIME", "weekday",
        re.compile(r"(?<!\w)(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day(?!\w)", re.IGNORECASE), 0.4,
    ),
    Recogniser("DATE_TIME", "year", re.compile(rf"(?<![\w.,/:-]){_YEAR}(?![\w/:-]|[.,]\d)"), 0.3),
)  # fmt: skip
