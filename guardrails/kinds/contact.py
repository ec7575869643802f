"""Addresses of mail boxes, machines and documents, and parts of a postal address that have a fixed form."""

import ipaddress
import re

from guardrails.kinds.recogniser import Recogniser, words

_LOCAL_PART = r"[\w!#$%&'*+/=?^`{|}~.\-]"
EMAIL = re.compile(rf"(?<!{_LOCAL_PART}){_LOCAL_PART}++@(?:[\w\-]++\.)+[^\W\d_]{{2}}[\w\-]*")
"""With any top-level name, since companies have their own (`.local`, `.corp`). Nothing is looked up. The local part,
once read, is not read again."""


def ip_v6(text: str) -> bool:
    """An address of RFC 4291, with a digit: `face::add` is more likely to be code."""
    try:
        ipaddress.IPv6Address(text.split("/")[0])
    except ValueError:
        return False
    return any(map(str.isdigit, text))


_OCTET = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_TOP_LEVEL = (
    "com|org|net|edu|gov|mil|int|info|biz|io|co|ai|app|dev|eu|uk|us|de|fr|es|it|nl|be|ch|at|pl|pt|se|no|dk|fi|ie|cz|sk|hu|"
    "ro|bg|gr|hr|si|lt|lv|ee|is|lu|mt|cy|ru|ua|tr|br|mx|ar|cl|ca|au|nz|in|cn|jp|kr|za|il|me|tv|cloud|online|shop|site|tech"
)
POSTCODE = (
    r"(?:GIR ?0AA|(?:[A-PR-UWYZ](?:[0-9]{1,2}|[A-HK-Y][0-9]|[A-HK-Y][0-9][0-9ABEHMNPRV-Y]|[0-9][A-HJKPS-UW]))"
    r"{gap}[0-9][ABD-HJLNP-UW-Z]{2})"
)
"""The forms of a UK postcode (BS 7666); `{gap}` stands for what is between its halves."""
_ADDRESS_WORDS = words("post ?code|zip|address|live|street|road|lane|avenue|house|flat|deliver|ship")
_STREET_ENDS = (
    "Street|St|Road|Rd|Avenue|Ave|Lane|Ln|Drive|Dr|Court|Ct|Close|Crescent|Cres|Place|Pl|Terrace|Boulevard|Blvd|Square|Sq|"
    "Gardens|Gdns|Grove|Mews|Parade|Circle|Cir|Trail|Parkway|Pkwy|Highway|Hwy|Turnpike|Way|Walk|Row|Hill|Rise|Quay"
)

RECOGNISERS = (
    Recogniser("EMAIL_ADDRESS", "e-mail address", EMAIL, 1.0),
    Recogniser(
        "URL", "URL", re.compile(r"(?<!\w)(?:https?|ftps?|wss?)://[^\s<>\"'\u201d\u2019)\]}]*[^\s<>\"'\u201d\u2019)\]}.,;:!?]",
        re.IGNORECASE), 0.9
    ),
    Recogniser(
        "URL", "web address",
        re.compile(
            rf"(?<![\w@.-])(?:www\.)?(?:[a-z0-9](?:[a-z0-9-]{{0,62}})\.){{1,6}}(?:{_TOP_LEVEL})(?![\w@-]|\.\w)"
            r"(?::\d{2,5})?(?:/[^\s<>\"'\u201d\u2019)\]}]*[^\s<>\"'\u201d\u2019)\]}.,;:!?]|/)?", re.IGNORECASE,
        ), 0.5,
    ),
    Recogniser(
        "IP_ADDRESS", "IPv4", re.compile(rf"(?<![\w.-])(?:{_OCTET}\.){{3}}{_OCTET}(?:/\d\d?)?(?![\w-]|\.\w)"), 0.8
    ),
    Recogniser(
        "IP_ADDRESS", "IPv6",
        re.compile(r"(?<![\w:.])(?=[0-9a-f]{0,4}:)[0-9a-f:]{2,39}(?:(?:\d{1,3}\.){3}\d{1,3})?(?:/\d{1,3})?(?![\w:])",
        re.IGNORECASE),
        0.8, valid=ip_v6,
    ),
    Recogniser(
        "MAC_ADDRESS", "MAC address",
        re.compile(
            r"(?<![\w:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4}[0-9a-f]{2}(?![\w:-])|(?<![\w.])(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}(?![\w.])",
            re.IGNORECASE,
        ), 0.8,
    ),
    Recogniser(
        "UUID", "UUID", re.compile(r"(?<![\w-])[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}(?![\w-])", re.IGNORECASE),
        0.9
    ),
    Recogniser(
        "UK_POSTCODE", "UK postcode", re.compile(rf"(?<![^\W_]){POSTCODE.replace('{gap}', '[ ]')}(?![^\W_])",
        re.IGNORECASE),
        0.6, context=_ADDRESS_WORDS,
    ),
    Recogniser(
        "UK_POSTCODE", "UK postcode, unspaced", re.compile(rf"(?<![^\W_]){POSTCODE.replace('{gap}', '')}(?![^\W_])"),
        0.3,
        context=_ADDRESS_WORDS, with_context=0.6,
    ),
    Recogniser(
        "STREET_ADDRESS", "house and street",
        re.compile(
            r"(?<![\w.,:/-])(?:(?:Flat|Apt\.?|Unit) ?\w{1,4},? )?\d{1,5}[A-Z]?,? (?:[A-Z][\w'\u2019.-]{1,20} ){1,3}"
            rf"(?:{_STREET_ENDS})"
            r"(?![^\W_])",
        ), 0.6,
    ),
    Recogniser(
        "STREET_ADDRESS", "post-office box", re.compile(r"(?<![^\W_])(?:P\. ?O\.?|PO|Post Office) ?Box \d{1,6}(?!\d)",
        re.IGNORECASE),
        0.8,
    ),
)  # fmt: skip
