"""Telephone numbers of many countries, as people write them.

Whether digits can be a number of a region is decided by phonenumbers, which is Google's libphonenumber in Python.
"""

import re
from collections.abc import Iterator
from functools import cache

import phonenumbers
from phonenumbers import PhoneMetadata, PhoneNumber

from guardrails.detection import Detection
from guardrails.kinds.recogniser import near, words

REGIONS = (
    "US", "CA", "GB", "IE", "DE", "AT", "CH", "FR", "BE", "NL", "LU", "ES", "PT", "IT", "PL", "CZ", "SK", "HU", "RO",
    "BG",
    "GR", "CY", "DK", "SE", "NO", "FI", "EE", "LV", "LT", "SI", "HR", "IS", "MT", "AU", "NZ", "ZA", "IN", "IL", "BR",
)  # fmt: skip
"""Where a number without a country code is looked for, whatever the policy says."""

_DIGITS = (
    r"(?:[ \u00a0]?\(0\)[ \u00a0]?|[ \u00a0]?\(\d{1,5}\)[ \u00a0]?|[ \u00a0]{0,2}[-./\u2013][ \u00a0]?|[ \u00a0]{1,2})"
)
_CANDIDATE = re.compile(
    rf"(?<![\w$£€@#%])(?<![\w.,]\.)(?<!\d[,:/-])(?:\+|00(?=[1-9]))?(?:\(\+?\d{{1,5}}\)|\d)(?:{_DIGITS}?\d){{5,15}}"
    r"(?P<extension> ?(?:x|ext\.?|extension|#) ?\d{1,6})?(?![A-Za-z\d%€£$@]|[.,:/]\d|-\d)",
    re.IGNORECASE,
)
_CONTEXT = words(
    "phone|telephone|tel\\b|tel\\.|cell|mobile|mob\\b|handy|call|fax|sms|text me|whats ?app|signal|dial|ring|contact|"
    "reach|number is|desk|office|hotline|helpline|landline|voice ?mail|answer|message|telefon|t[ée]l[ée]phone|m[óo]vil|"
    "cellulare|registered"
)
_NOT_A_PHONE = words(
    "card|iban|account|order|invoice|ref|id\\b|ticket|case|ssn|passport|licen[cs]e|version|isbn|zip|"
    "post ?code|vat|serial|price"
)
_DATE = re.compile(
    r"(?:19|20)\d\d[-./ ]\d\d?[-./ ]\d\d?(?: \d.*)?|\d\d?[-./ ]\d\d?[-./ ](?:19|20)?\d\d"
    r"|(?:19|20)\d\d ?[-\u2013] ?(?:19|20)\d\d"
)
_DECIMALS = frozenset("0123456789")
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:[ .\u00a0]\d{3})+")
_OTHER = re.compile(r"\d{3}-\d\d-\d{4}|\d+\.\d+|(?:\d{1,3}\.){3}\d{1,3}")
"""A social security number, a decimal, an IP address."""


def supported(region: str) -> bool:
    """Whether the form of its numbers is known. Regions are named as ISO 3166-1 does, with two letters."""
    return region in phonenumbers.SUPPORTED_REGIONS


def find_phones(text: str, regions: tuple[str, ...] = REGIONS) -> Iterator[Detection]:
    """Every telephone number; the more certain, the more its form and the words near by say that it is one.

    Short numbers without a 0 before them need such words, but for regions that the customer named.
    """
    for match in _CANDIDATE.finditer(text):
        start, end = match.span()
        confidence = _confidence(text, start, end, regions, match["extension"] is not None)
        if confidence > 0:
            yield Detection("PHONE_NUMBER", "pii/phone number", start, end, confidence)


def _confidence(text: str, start: int, end: int, regions: tuple[str, ...], extension: bool) -> float:
    number = text[start:end]
    digits = sum(map(str.isdigit, number))
    if _DATE.fullmatch(number) or _OTHER.fullmatch(number) or digits < 6 or len(set(number) & _DECIMALS) < 2:
        return 0.0
    named = near(text, start, end, _CONTEXT)
    if number[0] == "+" or number.startswith(("00", "(+")):
        return 0.85 if _possible(number) else 0.5 if named else 0.0
    if named and not _NOT_A_PHONE.search(text[max(0, start - 20) : start]):
        if digits <= 10 or extension or _valid_in(regions, number):
            return 0.75 if digits > 6 else 0.4
        return 0.3
    grouped = not number.isdigit()
    if not grouped and number[0] != "0":
        return 0.3 if digits == 10 else 0.0
    groups = re.findall(r"\d+", number)
    if regions != REGIONS and grouped and _valid_in(regions, number):
        return 0.3 if _NOT_A_PHONE.search(text[max(0, start - 20) : start]) else 0.5
    if digits < 10 and (len(groups) == digits or (number[0] not in "0(" and (digits < 8 or len(groups) < 3))):
        return 0.2
    if not (extension or _valid_in(regions, number)):
        return 0.0
    if _THOUSANDS.fullmatch(number) and number.count(" ") + number.count(".") < 3 and digits < 10:
        return 0.3  # 699 956 915 may be either
    return 0.6 if grouped else 0.45


def _possible(number: str) -> bool:
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number.replace("(0)", ""), "GB"))
    except phonenumbers.NumberParseException:
        return False


def _valid_in(regions: tuple[str, ...], number: str) -> bool:
    """In one of the regions. Looks at forms first: a text may hold hundreds of numbers, and there are many regions."""
    digits = re.sub(r"\D", "", re.split("x|e|#", number, maxsplit=1, flags=re.IGNORECASE)[0])
    for code, region, form, trunk in _forms(regions):
        if trunk == "0" and number[0] not in "0(":
            continue
        national = digits.removeprefix(trunk)
        for written in {national, digits}:
            if form.fullmatch(written):
                leading_zero = written[0] == "0"  # Italy's zeros belong to the number
                parsed = PhoneNumber(code, int(written), italian_leading_zero=leading_zero)
                if phonenumbers.is_valid_number_for_region(parsed, region):
                    return True
    return False


@cache
def _forms(regions: tuple[str, ...]) -> list[tuple[int, str, re.Pattern[str], str]]:
    """Country code, region, what its numbers look like and what is dialled before them at home."""
    found = []
    for region in regions:
        data = PhoneMetadata.metadata_for_region(region)
        assert data is not None
        assert data.general_desc is not None
        form = re.compile(str(data.general_desc.national_number_pattern))
        found.append((int(data.country_code or 0), region, form, data.national_prefix or ""))
    return found
