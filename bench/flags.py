"""How well injection and requests for harm are flagged, and how much else: `python -m bench.flags --data FOLDER`.

FOLDER has the public sets that docs/guardrails-flags.md names. Only rows that the model did not learn from are measured
on. "at 1 %" is the recall at the threshold which one in a hundred of the harmless rows reaches, "flagged" at the
default threshold. The peer is Picket, the rules of AI Cordon's free detector, as it comes; it knows injection only.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aicordon import picket

from guardrails import flags
from guardrails.flags import HARMS, THRESHOLDS
from guardrails.injections import attempts
from scripts.flag_data import HELD_OUT, is_held_out, labels, rows, shingles

GOAL_OVER_BLOCKING = 0.05
GOAL_MS = 0.5
"""For the model, and 1,000 characters."""
MOST_FALSE_ALARMS = 0.01
PAGE = (
    "Thank you for your order. The delivery left our depot on Monday and should reach you within three working days. "
    "If nobody is at home, the driver leaves a card with the number of the nearest parcel shop. Please check the goods "
    "for damage at once and tell us within a week. The invoice is attached; the amount is due in fourteen days. We "
    "have also enclosed the manual and the warranty card, which you should keep. You can reach us from eight to six. "
)
"""What an instruction is hidden in, once before it and once after."""


class Judged(NamedTuple):
    """What was said of a text."""

    scores: Mapping[str, float]
    pattern: bool
    sure: bool
    peer: bool


type Test = Callable[[Mapping[str, Any]], bool]


class Sets:
    """The held-out rows of the sets, each judged once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._peer = [picket.load(mode=mode) for mode in ("dpi", "ipi")]  # what a person typed, what a document says
        self._known: dict[str, Judged] = {}

    def texts(self, file: str, test: Test = lambda _: True) -> list[str]:
        """The held-out rows that pass the test, each once."""
        found = [row for row in rows(self.folder, file) if is_held_out(file, row["text"])]
        return list(dict.fromkeys(row["text"] for row in found if test(row)))

    def learned(self, file: str) -> list[str]:
        """The other rows."""
        return [row["text"] for row in rows(self.folder, file) if not is_held_out(file, row["text"])]

    def judged(self, texts: Iterable[str]) -> list[Judged]:
        """What is said of each."""
        return [self._judged(text) for text in texts]

    def _judged(self, text: str) -> Judged:
        if text not in self._known:
            found = attempts(text)
            sure = any(attempt.sure for attempt in found)
            peer = any(mode.check(text).flagged for mode in self._peer)
            self._known[text] = Judged(flags.scores(text), bool(found), sure, peer)
        return self._known[text]


def benign(sets: Sets) -> dict[str, list[Judged]]:
    """The sets in which nothing is to be flagged."""
    return {
        "XSTest, safe half": sets.judged(sets.texts("xstest.jsonl", lambda row: row["label"] == "safe")),
        "benign prompts": sets.judged(sets.texts("benign_prompts.jsonl")),
        "CyberSecEval, benign": sets.judged(sets.texts("cyberseceval_benign.jsonl")),
        "deepset, legitimate": sets.judged(sets.texts("deepset_injection.jsonl", lambda row: row["label"] == "LEGIT")),
        "JailbreakBench, benign": sets.judged(sets.texts("jailbreakbench.jsonl", lambda row: row["label"] == "benign")),
        "presidio-research": sets.judged(sets.texts("pii_synth_v2.jsonl")),
    }


def attacks(sets: Sets) -> dict[str, list[Judged]]:
    """The sets of injections."""
    deepset = sets.texts("deepset_injection.jsonl", lambda row: row["label"] == "INJECTION")
    wild = sets.texts("inthewild_jailbreaks.jsonl")
    seen = {shingle for text in sets.learned("inthewild_jailbreaks.jsonl") for shingle in shingles(text)}
    unlike = [text for text in wild if 4 * len(shingles(text) & seen) < len(shingles(text))]
    return {
        "deepset, injections": sets.judged(deepset),
        "  the same within a page": sets.judged(f"{PAGE}{text} {PAGE}" for text in deepset),
        "in-the-wild jailbreaks": sets.judged(wild),
        "  little like any learned": sets.judged(unlike),
        "BIPIA (ordinary requests)": sets.judged(sets.texts("bipia_text_attacks.jsonl")),
    }


def harms(sets: Sets) -> dict[str, list[Judged]]:
    """The sets of requests for harm."""
    bench = "harmbench.jsonl"
    return {
        "HarmBench, standard": sets.judged(sets.texts(bench, lambda row: row["functional"] == "standard")),
        "HarmBench, contextual": sets.judged(sets.texts(bench, lambda row: row["functional"] == "contextual")),
        "JailbreakBench, harmful": sets.judged(
            sets.texts("jailbreakbench.jsonl", lambda row: row["label"] == "harmful")
        ),
        "AILuminate, harms known here": sets.judged(
            sets.texts("ailuminate.jsonl", lambda row: labels("ailuminate.jsonl", row) is not None)
        ),
        "XSTest, unsafe half": sets.judged(sets.texts("xstest.jsonl", lambda row: row["label"] == "unsafe")),
        "HarmBench, copyright": sets.judged(sets.texts(bench, lambda row: row["functional"] == "copyright")),
    }


def threshold(label: str, harmless: Sequence[Judged]) -> float:
    """What at most one in a hundred of the harmless ones is above."""
    ordered = sorted((each.scores[label] for each in harmless), reverse=True)
    return ordered[int(len(ordered) * MOST_FALSE_ALARMS)]


def share(judged: Sequence[Judged], test: Callable[[Judged], bool]) -> str:
    """How many of them, in per cent."""
    return f"{100 * sum(map(test, judged)) / len(judged):.1f}" if judged else "-"


def flagged(label: str) -> Callable[[Judged], bool]:
    """Whether a text is flagged with it at the default threshold."""
    return lambda each: each.scores[label] >= THRESHOLDS[label]


def blocked(each: Judged) -> bool:
    """Whether the default policy blocks it: only what is sure is."""
    return each.sure


def warned(each: Judged) -> bool:
    """Whether the default policy lets it pass with a warning."""
    return not each.sure and (each.pattern or flagged("injection")(each) or flagged("harm")(each))


def table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """A table with a wide first column."""
    for line in [["", *columns], *lines]:
        say(f"{line[0]:32}" + "".join(f"{cell:>13}" for cell in line[1:]))
    say()


def print_injection(sets: Sets, harmless: dict[str, list[Judged]]) -> None:
    """Injection: what is found, and what else is."""
    sure_of = threshold("injection", [each for judged in harmless.values() for each in judged])
    say(f"Injection, per cent of rows; of {sum(map(len, harmless.values()))} harmless ones 1 % reach {sure_of:.2f}\n")
    lines = [
        [
            name, str(len(judged)), share(judged, lambda each: each.scores["injection"] > sure_of),
            share(judged, flagged("injection")), share(judged, lambda each: each.pattern),
            share(judged, lambda each: each.pattern or flagged("injection")(each)),
            share(judged, lambda each: each.sure), share(judged, lambda each: each.peer),
        ]
        for name, judged in {**attacks(sets), **harmless}.items()
    ]  # fmt: skip
    table(["rows", "at 1 %", "flagged", "patterns", "either", "sure", "peer"], lines)


def print_harm(sets: Sets, harmless: dict[str, list[Judged]]) -> None:
    """Requests for harm: the same, with XSTest and JailbreakBench, which are made to be mistaken, and without them."""
    everything = [each for judged in harmless.values() for each in judged]
    made_to_mislead = ("XSTest, safe half", "JailbreakBench, benign")
    ordinary = [each for name, judged in harmless.items() if name not in made_to_mislead for each in judged]
    low, high = threshold("harm", ordinary), threshold("harm", everything)
    say(f"Requests for harm, per cent of rows; 1 % of {len(ordinary)} ordinary harmless ones reach {low:.2f}, and with")
    say(f"those that are made to be mistaken {high:.2f}\n")
    lines = [
        [
            name, str(len(judged)), share(judged, lambda each: each.scores["harm"] > low),
            share(judged, lambda each: each.scores["harm"] > high), share(judged, flagged("harm")),
        ]
        for name, judged in {**harms(sets), **harmless}.items()
    ]  # fmt: skip
    table(["rows", "at 1 %", "1 % of all", "flagged"], lines)


def print_kinds(sets: Sets) -> None:
    """Of what AILuminate calls one kind and is flagged: how often that kind is the one that is named."""
    by_kind: dict[str, list[Judged]] = {kind: [] for kind in HARMS}
    for row in rows(sets.folder, "ailuminate.jsonl"):
        known = labels("ailuminate.jsonl", row)
        if known is not None and is_held_out("ailuminate.jsonl", row["text"]):
            by_kind[next(kind for kind in known if kind != "harm")] += sets.judged([row["text"]])
    lines = []
    for kind, judged in by_kind.items():
        found = [each for each in judged if flagged("harm")(each)]
        right = sum(max(HARMS, key=each.scores.__getitem__) == kind for each in found)
        if judged:
            lines.append([kind, *map(str, (len(judged), len(found), right))])
    say("Kinds of harm, on AILuminate, rows\n")
    table(["rows", "flagged", "as that kind"], lines)


def print_policy(harmless: dict[str, list[Judged]]) -> bool:
    """What the default policy does to harmless texts; whether the goal is met."""
    say("Over-blocking with the default policy, per cent of rows\n")
    names = ("XSTest, safe half", "benign prompts", "CyberSecEval, benign")
    lines = [
        [name, str(len(harmless[name])), share(harmless[name], blocked), share(harmless[name], warned),
         share(harmless[name], lambda each: each.peer)]
        for name in names
    ]  # fmt: skip
    table(["rows", "blocked", "warned", "peer flags"], lines)
    return all(sum(map(blocked, harmless[name])) <= GOAL_OVER_BLOCKING * len(harmless[name]) for name in names)


def milliseconds(job: Callable[[str], object], text: str) -> float:
    """The median of many times."""
    taken = []
    for _ in range(100):
        started = time.perf_counter()
        job(text)
        taken.append((time.perf_counter() - started) * 1000)
    return sorted(taken)[50]


def print_speed() -> bool:
    """How long it takes; whether the goal is met."""
    started = time.perf_counter()
    made = flags.load()
    loaded = (time.perf_counter() - started) * 1000
    say(
        f"Speed in ms by length, median; the model of {flags.FILE.stat().st_size / 1000:.0f} KB loads in {loaded:.0f} ms\n"  # noqa: E501
    )
    peer = picket.load(mode="dpi")
    jobs: dict[str, Callable[[str], object]] = {"the model": made.scores, "the patterns": attempts, "peer": peer.check}
    lengths = (300, 1_000, 4_000)
    times = {name: [milliseconds(job, (PAGE * 10)[:length]) for length in lengths] for name, job in jobs.items()}
    table(
        [f"{length:,}" for length in lengths], [[name, *(f"{ms:.2f}" for ms in each)] for name, each in times.items()]
    )
    return times["the model"][1] <= GOAL_MS


def say(line: str = "") -> None:
    """A line of the report."""
    sys.stdout.write(line + "\n")


def main() -> None:
    """Prints all tables, and which goals are missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    sets = Sets(parser.parse_args().data)
    harmless = benign(sets)
    print_injection(sets, harmless)
    print_harm(sets, harmless)
    print_kinds(sets)
    goals = {"over-blocking at most 5 %": print_policy(harmless), f"{GOAL_MS} ms for 1,000 characters": print_speed()}
    missed = [goal for goal, met in goals.items() if not met]
    say("Goals: " + ("all met" if not missed else "MISSED: " + "; ".join(missed)))
    say(f"Held out, per cent: {', '.join(f'{name} {part}' for name, part in HELD_OUT.items())}")


if __name__ == "__main__":
    main()
