"""Numbers by which a state knows a person or a firm: United Kingdom, United States, VAT numbers of Europe."""

import re
from collections.abc import Callable

from guardrails.checksums import luhn, mod_11
from guardrails.kinds.recogniser import Recogniser, words


def nhs_number(text: str) -> bool:
    """Ten digits, the last by modulus 11 (NHS Data Dictionary, NHS NUMBER)."""
    digits = re.sub(r"\D", "", text)
    return len(digits) == 10 and len(set(digits)) > 1 and mod_11(digits)


def dea_number(text: str) -> bool:
    """A registration of the US Drug Enforcement Administration: the check digit is the last of a sum."""
    digits = [int(digit) for digit in text[-7:]]
    return (sum(digits[0:6:2]) + 2 * sum(digits[1:6:2])) % 10 == digits[6]


def _weights(*weights: int, modulus: int = 11, ten: int = 0) -> Callable[[str], bool]:
    """Digits with weights, the check digit being what is left to the modulus."""

    def valid(number: str) -> bool:
        total = sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False))
        check = (modulus - total % modulus) % modulus
        return (ten if check == 10 else check) == int(number[len(weights)])

    return valid


def _remainder(*weights: int) -> Callable[[str], bool]:
    """Digits with weights, the check digit being the remainder by 11."""

    def valid(number: str) -> bool:
        total = sum(int(digit) * weight for digit, weight in zip(number, weights, strict=False))
        return total % 11 == int(number[len(weights)])

    return valid


def _great_britain(number: str) -> bool:
    """Modulus 97, or the same with 55 added (HMRC, since 2010)."""
    total = sum(int(digit) * weight for digit, weight in zip(number, range(8, 1, -1), strict=False)) + int(number[7:9])
    return total % 97 in (0, 42)


def _mod_11_10(number: str) -> bool:
    """ISO/IEC 7064, MOD 11,10: Germany, Croatia."""
    product = 10
    for digit in number[:-1]:
        total = (int(digit) + product) % 10 or 10
        product = 2 * total % 11
    return (11 - product) % 10 == int(number[-1])


def _france(number: str) -> bool:
    key, rest = number[:2], number[2:]
    return not key.isdigit() or int(key) == (12 + 3 * (int(rest) % 97)) % 97


def _belgium(number: str) -> bool:
    return 97 - int(number[:8]) % 97 == int(number[8:])


def _luxembourg(number: str) -> bool:
    return int(number[:6]) % 89 == int(number[6:])


def _netherlands(number: str) -> bool:
    """The firm's own digits by modulus 11, or since 2020 the whole by modulus 97."""
    whole = "".join(str(int(character, 36)) for character in f"NL{number}")
    return _remainder(9, 8, 7, 6, 5, 4, 3, 2)(number) or int(whole) % 97 == 1


VAT: dict[str, tuple[str, Callable[[str], bool] | None]] = {
    "AT": (r"U\d{8}", None),
    "BE": (r"[01]\d{9}", _belgium),
    "BG": (r"\d{9,10}", None),
    "CY": (r"\d{8}[A-Z]", None),
    "CZ": (r"\d{8,10}", None),
    "DE": (r"\d{9}", _mod_11_10),
    "DK": (r"\d{8}", lambda number: mod_11_whole(number, (2, 7, 6, 5, 4, 3, 2, 1))),
    "EE": (r"\d{9}", _weights(3, 7, 1, 3, 7, 1, 3, 7, modulus=10)),
    "EL": (r"\d{9}", None),
    "ES": (r"[A-Z0-9]\d{7}[A-Z0-9]", None),
    "FI": (r"\d{8}", _weights(7, 9, 10, 5, 8, 4, 2)),
    "FR": (r"[A-HJ-NP-Z0-9]{2}\d{9}", _france),
    "GB": (r"\d{9}(?:\d{3})?", _great_britain),
    "HR": (r"\d{11}", _mod_11_10),
    "HU": (r"\d{8}", _weights(9, 7, 3, 1, 9, 7, 3, modulus=10)),
    "IE": (r"\d[A-Z0-9+*]\d{5}[A-W][A-I]?", None),
    "IT": (r"\d{11}", luhn),
    "LT": (r"(?:\d{9}|\d{12})", None),
    "LU": (r"\d{8}", _luxembourg),
    "LV": (r"\d{11}", None),
    "MT": (r"\d{8}", None),
    "NL": (r"\d{9}B\d{2}", _netherlands),
    "PL": (r"\d{10}", _remainder(6, 5, 7, 2, 3, 4, 5, 6, 7)),
    "PT": (r"\d{9}", _weights(9, 8, 7, 6, 5, 4, 3, 2)),
    "RO": (r"\d{2,10}", None),
    "SE": (r"\d{10}01", lambda number: luhn(number[:10])),
    "SI": (r"\d{8}", _weights(8, 7, 6, 5, 4, 3, 2)),
    "SK": (r"\d{10}", lambda number: int(number) % 11 == 0),
    "XI": (r"\d{9}(?:\d{3})?", _great_britain),
}
"""What follows the country in a VAT number, and its check digits where they are simple
(https://ec.europa.eu/taxation_customs/vies/#/faq)."""


def mod_11_whole(number: str, weights: tuple[int, ...]) -> bool:
    """The weighted digits, check digit included, add up to a multiple of 11."""
    return sum(int(digit) * weight for digit, weight in zip(number, weights, strict=True)) % 11 == 0


def vat_number(text: str) -> bool:
    """A VAT number of its country's form, with the right check digits where they are known."""
    compact = re.sub(r"[^A-Z0-9+*]", "", text.upper())
    form, valid = VAT[compact[:2]]
    return re.fullmatch(form, compact[2:]) is not None and (valid is None or valid(compact[2:]))


_SSN_WORDS = words("ssn|social security|social-security|tax ?payer|itin|tin\\b|tax id")
_PASSPORT_WORDS = words("passport")
_LICENCE_WORDS = words(
    r"driv\w*['\u2019]?s? (?:li[cs]en[cs]e|permit|id)|driving|drivers?['\u2019]? li[cs]|dl\b|licen[cs]e (?:no|num|#|id)"
)

RECOGNISERS = (
    Recogniser(
        "US_SSN", "US social security number",
        re.compile(r"(?<![\w-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])"), 0.85,
    ),
    Recogniser(
        "US_SSN", "US social security number, other signs",
        re.compile(r"(?<![\w-])(?!000|666|9)\d{3}([ .]?)(?!00)\d{2}\1(?!0000)\d{4}(?![\w-])"), 0.05,
        context=_SSN_WORDS, with_context=0.8,
    ),
    Recogniser(
        "US_ITIN", "US taxpayer number",
        re.compile(r"(?<![\w-])9\d{2}-(?:5\d|6[0-5]|7\d|8[0-8]|9[0-2]|9[4-9])-\d{4}(?![\w-])"), 0.85,
    ),
    Recogniser(
        "US_ITIN", "US taxpayer number, other signs",
        re.compile(r"(?<![\w-])9\d{2}([ .]?)(?:5\d|6[0-5]|7\d|8[0-8]|9[0-2]|9[4-9])\1\d{4}(?![\w-])"), 0.05,
        context=_SSN_WORDS, with_context=0.8,
    ),
    Recogniser(
        "US_PASSPORT", "US passport", re.compile(r"(?<![\w-])(?:\d{9}|[A-Z]\d{8})(?![\w-])", re.IGNORECASE), 0.05,
        context=_PASSPORT_WORDS, with_context=0.6,
    ),
    Recogniser(
        "UK_PASSPORT", "UK passport", re.compile(r"(?<![\w-])\d{9}(?![\w-])"), 0.05,
        context=words("(?:uk|british|hm|gbr) passport|passport(?= (?:office|service))|passport"), with_context=0.61,
    ),
    Recogniser(
        "US_DRIVER_LICENSE", "driver's licence",
        re.compile(
            r"(?<![\w-])(?:[A-Z]{0,3}\d{4,14}[A-Z]{0,2}|[A-Z]\d{2,4}(?:[ -]\d{2,5}){2,4}|\d{2,3}(?:-\d{2,4}){2,3})"
            r"(?![\w-])",
            re.IGNORECASE,
        ), 0.01, context=_LICENCE_WORDS, with_context=0.65,
    ),
    Recogniser(
        "UK_DRIVING_LICENCE", "UK driving licence",
        re.compile(
            r"(?<![^\W_])[A-Z]{1,5}9{0,4}(?<=[A-Z9]{5}) ?\d[0156]\d(?:0[1-9]|[12]\d|3[01])\d ?[A-Z9]{2}[A-Z0-9]{3}"
            r"(?: ?\d\d)?(?![^\W_])", re.IGNORECASE
        ), 0.85,
    ),
    Recogniser(
        "UK_NHS", "NHS number", re.compile(r"(?<![\w-])\d{3}([ -])\d{3}\1\d{4}(?![\w-])"), 0.5, valid=nhs_number,
        context=words("nhs|patient|hospital|health|gp\\b|surgery"), with_context=1.0,
    ),
    Recogniser(
        "UK_NHS", "NHS number, unspaced", re.compile(r"(?<![\w-])\d{10}(?![\w-])"), 0.3, valid=nhs_number,
        context=words("nhs|patient|hospital|health|gp\\b|surgery"), with_context=1.0,
    ),
    Recogniser(
        "UK_NINO", "National Insurance number",
        re.compile(
            r"(?<![^\W_])(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
            r"([ -]?)\d\d\1\d\d\1\d\d\1[A-D](?![^\W_])",
            re.IGNORECASE,
        ), 0.85,
    ),
    Recogniser(
        "MEDICAL_LICENSE", "DEA registration",
        re.compile(r"(?<![^\W_])[ABCDEFGHJKLMPRSTUX][A-Z9]\d{7}(?![^\W_])", re.IGNORECASE), 0.9, valid=dea_number,
    ),
    Recogniser(
        "EU_VAT", "VAT number",
        re.compile(
            rf"(?<![^\W_])(?:{'|'.join(VAT)})[ -]?(?=[A-Z0-9 .-]*\d{{2}})[A-Z0-9](?:[ .-]?[A-Z0-9+*]){{6,11}}(?![^\W_])"
        ), 0.45, valid=vat_number,
        context=words(r"vat|ust|uid|mwst|tva|iva\b|p\.? ?iva|btw|moms|nif|nip|dph|áfa|afm|tax"), with_context=0.9,
    ),
)  # fmt: skip
