"""What people paste: a summary for a pull request or a CI step, a text for an issue of the port."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from dinov3_parity.parity import picture
from dinov3_parity.parity.families import VARIANTS
from dinov3_parity.parity.records.divergence import strength_of
from dinov3_parity.parity.records.measurement import Measurement
from dinov3_parity.parity.records.reader import Run
from dinov3_parity.parity.words import counted
from dinov3_parity.reports.changes import DEPARTS, HOLDS, WORSE, Changes, figure
from dinov3_parity.reports.evidence import Case
from dinov3_parity.reports.verdicts import Verdict

SUMMARY, REPRODUCER = "summary.md", "reproducer.md"

#: What a comment or a step summary takes, with room for what a workflow adds.
LARGEST = 60_000
_ROOM = 1_000  # for the end of what was cut

_WORDS = {
    "holds": "✅ holds",
    "departs": "❌ departs",
    "repeats": "↪️ repeats",
    "known": "🟡 known",
    "incomplete": "🟠 incomplete",
}


def summary(run: Run, verdict: Verdict, cases: list[Case], changes: Changes | None) -> str:
    """summary.md: the verdict, its edges, each first divergence, what changed."""
    contract = run.header["contract"]
    declared = counted(contract["declared"], "declared tap")
    known = sum(e.known for e in verdict.edges)
    more = f", {known:,} more as is known" if known else ""
    parts = [
        f"## DINOv3 parity: {text(verdict.headline)}\n",
        f"Compared {contract['compared']:,} of {declared} on {counted(contract['inputs'], 'input')}; "
        f"{sum(m.failed for m in run.found):,} over their limit{more}.\n",
        *(f"- **{text(reason)}**" for reason in verdict.reasons),
    ]
    if verdict.edges:
        parts.append(_table(
            ("variant", "edge", "verdict", "strongest ratio of its limit", "at", "compared"),
            (
                (e.variant, f"{e.parent} → {e.stage}", _WORDS.get(e.verdict, e.verdict),
                 _strength(e.strongest),
                 e.strongest.where, f"{e.compared:,}")
                for e in verdict.edges
            ),
        ))  # fmt: skip
    if verdict.known:
        parts.append("### Known departures\n")
        parts += [f"- 🟡 {text(one.words)}" for one in verdict.known]
        parts.append("")
    if verdict.unseen:
        names = ", ".join(text(one.entry.label) for one in verdict.unseen)
        parts.append(f"Not looked at, nothing that they are about was compared: {names}.\n")
    for case in cases:
        parts += [
            f"### Where {text(case.divergence.variant)} first breaks\n",
            f"{text(str(case.divergence))}\n",
            *_argument(case),
        ]
        parts.append(f"\n{_block(case.divergence.command, 'sh')}")
    if changes:
        parts.append(f"### Against the run before\n\n{text(changes.words)}.\n")
        if told := changes.of(DEPARTS, WORSE, HOLDS)[:30]:
            parts.append(_table(
                ("", "stage", "place", "ratio before", "after"),
                (
                    (c.kind, f"{c.known.variant} {c.known.stage}", f"{c.known.where} ({c.known.mode})",
                     figure(c.before), figure(c.after))
                    for c in told
                ),
            ))  # fmt: skip
    parts.append(f"<sub>{text(environment(run.header))}</sub>")
    return bounded("\n".join(parts) + "\n")


def bounded(words: str) -> str:
    """Text that a CI engine takes whole; what is too long ends at a line, and says so."""
    whole = words.encode(errors="replace")
    if len(whole) <= LARGEST:
        return whole.decode()
    cut = whole[: LARGEST - _ROOM].decode(errors="ignore")
    cut = cut[: cut.rfind("\n") + 1]
    return f"{cut}{_open_fence(cut)}\nCut here; the report has all of it.\n"


def _open_fence(words: str) -> str:
    """The line that ends a block of code that words leave open; "" where there is none."""
    fence = ""
    for line in re.findall(r"^(`{3,})", words, flags=re.M):
        fence = "" if line == fence else fence or line
    return fence and f"{fence}\n"


def reproducer(run: Run, case: Case) -> str:
    """A text for an issue of the port: what departs, by how much, on which versions, how to see it."""
    worst, header = case.divergence.worst, run.header
    inside = worst.breakdown and worst.variant in VARIANTS
    figures = {
        "noise ratio": f"{_ratio(worst)}, limit {worst.limit:g}",
        "rms error against the float64 truth": _scientific(worst.ratio, worst.floor),
        "floor, what Meta's float32 and its twins do": f"{worst.floor:.3e}",
        "max abs difference to Meta's float32": _scientific(worst.max_abs),
        "at index": ", ".join(map(str, worst.max_abs_index)) or "–",
        "cosine": "–" if worst.cosine is None else f"{worst.cosine:.9f}",
        "input": str(worst.input),
        "fails on": f"{case.divergence.failing} of "
        f"{counted(case.divergence.inputs, 'comparison')} of this tap",
    }
    checkpoint = header["checkpoints"].get(worst.variant, {})
    parts = [
        f"# {text(worst.stage)}: {text(worst.variant)} departs at {text(worst.where)}\n",
        f"{text(str(case.divergence))}\n",
        _table(("figure", "value"), figures.items()),
        *_argument(case),
    ]
    if inside:
        parts.append("\n" + _block(picture.draw(VARIANTS[worst.variant], worst, worst.breakdown)))
    parts += [
        "\n## To reproduce\n",
        _block(case.divergence.command, "sh"),
        f"Checkpoint: {text(checkpoint.get('description', 'unknown'))}, identity "
        f"{text(checkpoint.get('digest', 'unknown')[:16])}. The input is built from its seed; no data "
        f"is needed.\n",
        "## Versions\n",
        _table(("package", "version"), {**header["versions"], **header["host"]}.items()),
    ]
    return bounded("\n".join(parts) + "\n")


def _argument(case: Case) -> list[str]:
    """The evidence and the suspects, a line each."""
    lines = [f"- {text(line)}" for line in filter(None, (*case.why, case.gate))]
    if case.suspects:
        names = ", ".join(text(fault.name) for fault in case.named)
        more = f", and {case.unnamed} more" if case.unnamed else ""
        lines.append(f"- {case.suspicion.capitalize()}: {names}{more}")
    return lines


def environment(header: dict[str, Any]) -> str:
    """Versions and host in a line."""
    told = {**header["versions"], **header["host"]}
    return ", ".join(f"{name} {value}" for name, value in told.items()) or "versions unknown"


_SIGNS = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "$": "&#36;"}


def text(words: str) -> str:
    """Words as Markdown shows them: no markup, no table, no mention, no link of their own.

    GitHub looks for mentions, numbers of issues and addresses in what is left of the markup: there
    a space without width stands.
    """
    flat = " ".join(str(words).split())
    escaped = re.sub(r"([\\`*_\[\]|#~])", r"\\\1", flat)
    plain = re.sub(r"[&<>$]", lambda sign: _SIGNS[sign[0]], escaped)
    return re.sub(r"@|(?<=\\)#(?=\d)|://|\bwww\.", "\\g<0>\u200b", plain, flags=re.I)


def _table(names: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    head = list(names)
    lines = [head, ["---"] * len(head), *([text(cell) for cell in row] for row in rows)]
    return "\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _block(words: str, kind: str = "") -> str:
    """A block of code; its fence is longer than any in the words."""
    longest = max((len(run) for run in re.findall(r"`+", words)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{kind}\n{words}\n{fence}\n"


def _strength(m: Measurement) -> str:
    return f"{m.ratio:.2f} of {m.limit:g}" if m.passed else strength_of(m)


def _ratio(m: Measurement) -> str:
    return m.problem or ("∞" if m.ratio is None else f"{m.ratio:,.3g}")


def _scientific(*factors: float | None) -> str:
    product = 1.0
    for factor in factors:
        if factor is None:
            return "–"
        product *= factor
    return f"{product:.3e}"
