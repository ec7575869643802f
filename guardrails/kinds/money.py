"""Cards, accounts and purses."""

import hashlib
import re

from guardrails.checksums import iban, luhn
from guardrails.kinds.recogniser import Recogniser, words

_CARD_SCHEMES = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|3(?:0[0-5]|[689]\d)\d{11,16}"  # Diners Club
    r"|(?:1800|2131)\d{11}|35(?:2[89]|[3-8]\d)\d{12,15}"  # JCB
    r"|220[0-4]\d{12,15}"  # Mir
    r"|(?:5[06-8]|6\d)\d{10,17}"  # Maestro, Discover, UnionPay, RuPay
    r"|9792\d{12}|8[12]\d{14}"  # Troy, RuPay
    r"|1\d{14}"  # UATP
)


def payment_card(text: str) -> bool:
    """A number of a known scheme (ISO/IEC 7812-1) with the right check digit."""
    return _CARD_SCHEMES.fullmatch(re.sub(r"\D", "", text)) is not None and luhn(text)


IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "BY": 28,
    "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "EG": 29, "ES": 24, "FI": 18, "FO": 18,
    "FR": 27,
    "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23,
    "IS": 26,
    "IT": 27, "JO": 30, "KW": 30, "KZ": 20, "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25,
    "MC": 27,
    "MD": 24, "ME": 22, "MK": 19, "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25,
    "QA": 29, "RO": 24, "RS": 22, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "ST": 25,
    "SV": 28,
    "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
}  # fmt: skip
"""Characters of an IBAN by country (SWIFT's IBAN registry)."""

_IBAN = re.compile(
    r"(?<![^\W_])(?:"
    + "|".join(
        rf"(?:{'|'.join(country for country in IBAN_LENGTHS if IBAN_LENGTHS[country] == length)})"
        rf"\d\d(?:[ -]?[A-Z0-9]){{{length - 4}}}"
        for length in sorted(set(IBAN_LENGTHS.values()))
    )
    + r")(?![^\W_])",
    re.IGNORECASE,
)

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def crypto_address(text: str) -> bool:
    """A Bitcoin address with the right checksum (Base58Check, or BIP 173 and BIP 350), or Ethereum's form."""
    if text.startswith("0x"):
        return True
    return _bech32(text.lower()) if text.lower().startswith("bc1") else _base58(text)


def _base58(text: str) -> bool:
    number = 0
    for character in text:
        number = number * 58 + _BASE58.index(character)
    content = number.to_bytes(25) if number.bit_length() <= 200 else b""
    return hashlib.sha256(hashlib.sha256(content[:-4]).digest()).digest()[:4] == content[-4:]


def _bech32(text: str) -> bool:
    check = 1
    prefix = [3, 3, 0, 2, 3]  # of "bc": the letters' high bits, a zero, their low bits
    for value in [*prefix, *map(_BECH32.index, text[3:])]:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for place, term in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= term if top >> place & 1 else 0
    return check in (1, 0x2BC830A3)


_CARD_WORDS = words("card|credit|debit|visa|master|amex|american express|maestro|diners|discover|jcb|cc\\b|pan\\b")
_ACCOUNT_WORDS = words(
    "bank account|account (?:no|num)|account:|account #|acct|a/c|(?:checking|savings|current|bank) acc|routing|aba\\b"
)
_SORT_CODE_WORDS = words("sort|branch code")

RECOGNISERS = (
    Recogniser(
        "CREDIT_CARD", "payment card", re.compile(r"(?<![\w.])(?<!\d[-+])\d(?:[ .-]?\d){11,18}(?![\w]|[.,-]\d)"), 1.0,
        valid=payment_card, context=_CARD_WORDS, with_context=1.0, invalid_with_context=0.4,
    ),
    Recogniser(
        "IBAN_CODE", "IBAN", _IBAN, 1.0, valid=iban, context=words("iban|bank|account|transfer"), with_context=1.0,
        invalid_with_context=0.5,
    ),
    Recogniser(
        "CRYPTO", "crypto address",
        re.compile(
            r"(?<![\w])(?:[13][1-9A-HJ-NP-Za-km-z]{25,34}|bc1[02-9ac-hj-np-z]{11,71}|BC1[02-9AC-HJ-NP-Z]{11,71}"
            r"|0x[0-9a-fA-F]{40})(?!\w)"
        ), 0.9, valid=crypto_address,
    ),
    Recogniser(
        "UK_BANK_ACCOUNT", "UK sort code and account",
        re.compile(
            r"(?<![\w-])\d\d[- ]?\d\d[- ]?\d\d(?:[\s,;:/.&|-]|and|account|acc|a/c|acct|number|num|no){1,12}\d{8}"
            r"(?![\w-])",
            re.IGNORECASE,
        ), 0.6, context=_SORT_CODE_WORDS,
    ),
    Recogniser(
        "UK_BANK_ACCOUNT", "UK account and sort code",
        re.compile(
            r"(?<![\w-])\d{8}(?:[\s,;:/.&|-]|and|sort|code|number|num|no){1,12}\d\d[- ]?\d\d[- ]?\d\d(?![\w-])",
            re.IGNORECASE
        ), 0.3, context=_SORT_CODE_WORDS,
    ),
    Recogniser(
        "UK_BANK_ACCOUNT", "UK sort code", re.compile(r"(?<![\w-])\d\d([- ]?)\d\d\1\d\d(?![\w-])"), 0.05,
        context=_SORT_CODE_WORDS, with_context=0.7,
    ),
    Recogniser(
        "UK_BANK_ACCOUNT", "UK account number", re.compile(r"(?<![\w-])\d{8}(?![\w-])"), 0.05, context=_ACCOUNT_WORDS,
        with_context=0.5,
    ),
    Recogniser(
        "US_BANK_NUMBER", "US bank account", re.compile(r"(?<![\w-])\d{8,17}(?![\w-])"), 0.05, context=_ACCOUNT_WORDS,
        with_context=0.45,
    ),
)  # fmt: skip
