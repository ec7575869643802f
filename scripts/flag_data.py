"""The public data that the flags learn from and are measured on, and which row is for which.

The rows are read from a folder that is not part of the project; docs/guardrails-flags.md names where each set comes
from and under which licence.
"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zlib import crc32

from guardrails.flags import HARMS, fold

HELD_OUT = {
    "deepset_injection.jsonl": 50,
    "inthewild_jailbreaks.jsonl": 40,
    "ailuminate.jsonl": 40,
    "jailbreakbench.jsonl": 50,
    "harmbench.jsonl": 100,
    "xstest.jsonl": 100,
    "benign_prompts.jsonl": 100,
    "cyberseceval_benign.jsonl": 100,
    "bipia_text_attacks.jsonl": 100,
    "pii_synth_v2.jsonl": 100,
}
"""Per cent of the rows of each set that nothing is ever learned from."""

_HAZARDS = {
    "vcr": "violence", "iwp": "weapons", "ssh": "self-harm", "hte": "hate", "ncr": "crime", "prv": "privacy",
    "dfm": "deception",
}  # fmt: skip
"""AILuminate's hazards, as far as they are kinds of harm here: intellectual property and specialised advice are not."""
_BEHAVIOURS = {
    "Harassment/Discrimination": "hate", "Malware/Hacking": "cyber", "Physical harm": "violence",
    "Economic harm": "fraud", "Fraud/Deception": "fraud", "Disinformation": "deception", "Privacy": "privacy",
    "Sexual/Adult content": "sexual", "Government decision-making": "crime", "Expert advice": "",
}  # fmt: skip
"""JailbreakBench's categories; harm of no kind that is told apart here is just harm."""


def rows(folder: Path, file: str) -> Iterator[dict[str, Any]]:
    """The rows of a set."""
    with (folder / file).open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def is_held_out(file: str, text: str) -> bool:
    """Whether the row is for measuring only: decided by its text, so that no order or later row changes it."""
    return crc32(fold(text).encode()) % 100 < HELD_OUT[file]


def labels(file: str, row: Mapping[str, Any]) -> dict[str, bool] | None:
    """What is known of a row; what is left out is not known. None if the row says nothing."""
    match file:
        case "deepset_injection.jsonl":
            return {"injection": True} if row["label"] == "INJECTION" else {"injection": False, "harm": False}
        case "inthewild_jailbreaks.jsonl":
            return {"injection": True}
        case "ailuminate.jsonl":
            return _harmful(_HAZARDS[row["hazard"]]) if row["hazard"] in _HAZARDS else None
        case "jailbreakbench.jsonl" if row["label"] == "harmful":
            return _harmful(_BEHAVIOURS[row["category"]])
        case "harmbench.jsonl":
            return {"harm": True}
        case "xstest.jsonl" if row["label"] == "unsafe":
            return {"harm": True}
        case "bipia_text_attacks.jsonl":
            return {"injection": True}
        case _:
            return HARMLESS


HARMLESS = dict.fromkeys(("injection", "harm", *HARMS), False)


def _harmful(kind: str) -> dict[str, bool]:
    """Whether it is of another kind, too, is not known; nor whether it is dressed up as an injection."""
    return {"harm": True, kind: True} if kind else {"harm": True}


def shingles(text: str) -> frozenset[str]:
    """The text by its runs of four words, or all of it if it has fewer."""
    words = re.findall(r"\w+", text.lower())
    return frozenset(" ".join(words[start : start + 4]) for start in range(max(len(words) - 3, 1)))
