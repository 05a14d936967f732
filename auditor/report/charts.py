"""Charts as SVG: text stays text, and colours are classes so that a dark page can change them.

Colours stand in the marks as well, because a PDF renderer does not apply the page's style sheet inside SVG.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from auditor.epsilon import epsilon_words
from auditor.report.words import figure, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from auditor.comparison.record import Comparison
    from auditor.history import Entry, History, Share
    from auditor.record import AuditRecord, Calibration, Estimate
    from auditor.sidecar import Epoch

_COLOURS = {
    "ink": "#1d232b",
    "muted": "#5c6672",
    "rule": "#dde1e6",
    "clean": "#1f5f99",
    "attack": "#b4472b",
    "one": "#7a8794",
    "two": "#2a7f62",
    "three": "#8a5fa8",
    "four": "#b8860b",
    "five": "#3d8fb5",
    "six": "#c2669a",
}
#: Colours of attacks beside the worst case.
_SERIES = ("one", "two", "three", "four", "five", "six")
#: Where no perturbation stands on an axis of epsilon.
_NONE_X = 84.0
#: Dashes of the lines of one series after the other, where there are several.
_DASHES = ("", "6 3", "2 3", "9 3 2 3")
#: Series whose number stands in a chart; more would cover each other.
_NUMBERED = 12
_FONT = "Source Sans 3, Source Sans Pro, Noto Sans, sans-serif"


@dataclass
class _Canvas:
    """Collects the marks of one chart.

    Attributes:
        width: of the chart in its own units.
        height: of the chart in its own units.
        label: what the chart shows, for those who cannot see it.
    """

    width: int
    height: int
    label: str
    marks: list[str] = field(default_factory=list)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float = 1.0, dash: str = "") -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self.marks.append(
            f'<polyline points="{path}" fill="none" class="stroke-{colour}" stroke="{_COLOURS[colour]}" '
            f'stroke-width="{width}" stroke-linejoin="round"{dashes}/>'
        )

    def area(self, points: Sequence[tuple[float, float]], colour: str, opacity: float) -> None:
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.marks.append(
            f'<polygon points="{path}" class="fill-{colour}" fill="{_COLOURS[colour]}" fill-opacity="{opacity}"/>'
        )

    def box(self, x: float, y: float, width: float, height: float, colour: str) -> None:
        self.marks.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{max(height, 0):.1f}" '
            f'class="fill-{colour}" fill="{_COLOURS[colour]}"/>'
        )

    def dot(self, x: float, y: float, colour: str, radius: float = 3.0) -> None:
        self.marks.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="fill-{colour}" fill="{_COLOURS[colour]}"/>'
        )

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        anchor: str = "middle",
        colour: str = "muted",
        bold: bool = False,
    ) -> None:
        weight = ' font-weight="600"' if bold else ""
        self.marks.append(
            f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="fill-{colour}" '
            f'fill="{_COLOURS[colour]}"{weight}>{escape(words)}</text>'
        )

    def whisker(self, x: float, low: float, high: float, colour: str) -> None:
        self.line([(x, low), (x, high)], colour, 1.2)
        for y in (low, high):
            self.line([(x - 4, y), (x + 4, y)], colour, 1.2)

    def svg(self) -> Markup:
        return Markup(  # noqa: S704 - every text went through escape(), everything else is a number or a constant
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" '
            f'width="{self.width}" height="{self.height}" role="img" aria-label="{escape(self.label)}" '
            f'font-family="{_FONT}" font-size="12">{"".join(self.marks)}</svg>'
        )


@dataclass(frozen=True)
class _Frame:
    """The plotting area of a canvas, with a vertical axis from 0 to `top`."""

    canvas: _Canvas
    left: float
    right: float
    upper: float
    lower: float
    top: float = 1.0

    def y(self, value: float) -> float:
        return self.lower - (self.lower - self.upper) * value / self.top

    def percent_axis(self) -> None:
        for step in (0.0, 0.25, 0.5, 0.75, 1.0):
            self.canvas.line([(self.left, self.y(step)), (self.right, self.y(step))], "rule")
            self.canvas.text(self.left - 8, self.y(step) + 4, f"{step:.0%}", anchor="end")


def accuracy_by_epsilon(record: AuditRecord) -> Markup:
    """Accuracy against epsilon: each attack in L-inf, and the worst case over them with its 95% band.

    The clean accuracy stands at the left. Where there is one attack, it is its own worst case.
    """
    attacks: dict[str, list[tuple[float, Estimate]]] = {}
    for attack in record.attacks:
        if attack.epsilon is not None and attack.norm == "L-inf":
            # A curve over other images than the rest says so.
            some = f" ({attack.images} images)" if attack.images < record.clean.images else ""
            attacks.setdefault(attack.name + some, []).append((attack.epsilon, attack.accuracy))
    if not attacks:
        return Markup("")
    if len(attacks) > 1:
        main: list[tuple[float, Estimate]] = [(worst.epsilon, worst.accuracy) for worst in record.worst_case]
    else:
        (main,) = attacks.values()
        attacks = {}
    epsilons = sorted({epsilon for values in (main, *attacks.values()) for epsilon, _ in values})
    spoken = "; ".join(f"{epsilon_words(epsilon)}: {percent(accuracy.value)}" for epsilon, accuracy in main)
    height = 290 + 20 * math.ceil((len(attacks) + 1) / 4) * bool(attacks)
    canvas = _Canvas(
        640, height,
        f"Accuracy against epsilon. Clean: {percent(record.clean.accuracy.value)}. "
        f"{'Worst case over the attacks: ' if attacks else ''}{spoken}.",
    )  # fmt: skip
    frame = _Frame(canvas, 48, 600, 16, 234)
    x = _epsilon_axis(frame, epsilons)
    clean = record.clean.accuracy
    legend = [*attacks, "worst case"] if attacks else []
    for place, name in enumerate(legend):
        left, row = 30 + 153 * (place % 4), 302 + 20 * (place // 4)
        colour = "attack" if name == "worst case" else _SERIES[place % len(_SERIES)]
        dash = "" if name == "worst case" or place < len(_SERIES) else "5 3"
        canvas.line([(left, row - 4), (left + 20, row - 4)], colour, 2.4 if name == "worst case" else 1.5, dash)
        canvas.text(left + 26, row, name, anchor="start")
        if name in attacks:
            canvas.line([(x(e), frame.y(a.value)) for e, a in attacks[name]], colour, 1.5, dash)
            for epsilon, accuracy in attacks[name]:
                canvas.dot(x(epsilon), frame.y(accuracy.value), colour, 2.2)
    band = [(x(e), frame.y(a.high)) for e, a in main] + [(x(e), frame.y(a.low)) for e, a in reversed(main)]
    canvas.area(band, "attack", 0.16)
    canvas.line([(_NONE_X, frame.y(clean.value)), (x(main[0][0]), frame.y(main[0][1].value))], "muted", 1, "3 3")
    canvas.line([(x(e), frame.y(a.value)) for e, a in main], "attack", 2.4)
    for epsilon, accuracy in main:
        canvas.dot(x(epsilon), frame.y(accuracy.value), "attack", 3.5)
        above = accuracy.high + 0.09 < 1 and not attacks
        base = frame.y(accuracy.high) - 7 if above else min(frame.y(accuracy.low) + 16, frame.lower - 4)
        if attacks and frame.y(accuracy.value) > frame.lower - 24:
            base = frame.y(accuracy.high) - 7
        canvas.text(x(epsilon), base, percent(accuracy.value), colour="ink")
    canvas.whisker(_NONE_X, frame.y(clean.low), frame.y(clean.high), "clean")
    canvas.dot(_NONE_X, frame.y(clean.value), "clean", 4)
    canvas.text(_NONE_X, frame.y(clean.low) + 17, percent(clean.value), colour="ink")
    return canvas.svg()


def versions_by_epsilon(comparison: Comparison) -> Markup:
    """Robust accuracy against epsilon for each version, with 95% intervals; the accuracy without an attack at the left.

    Versions stand side by side at each epsilon, so that their intervals do not hide each other.
    """
    versions = comparison.versions
    epsilons = sorted({point.epsilon for version in versions for point in version.worst_case})
    if not epsilons:
        return Markup("")
    spoken = " ".join(
        f"{version.label}: {percent(version.clean.value)} without an attack"
        + "".join(f", {percent(p.accuracy.value)} at {epsilon_words(p.epsilon)}" for p in version.worst_case)
        + "."
        for version in versions
    )
    rows = math.ceil(len(versions) / 4)
    canvas = _Canvas(640, 290 + 20 * rows, f"Robust accuracy against epsilon, by version. {spoken}")
    frame = _Frame(canvas, 48, 600, 16, 234)
    x = _epsilon_axis(frame, epsilons)
    for place, version in enumerate(versions):
        colour = ("clean", "attack", *_SERIES)[place % (2 + len(_SERIES))]
        aside = (place - (len(versions) - 1) / 2) * min(9.0, 36 / len(versions))
        points = [(_NONE_X, version.clean), *((x(point.epsilon), point.accuracy) for point in version.worst_case)]
        canvas.line([(at + aside, frame.y(share.value)) for at, share in points[1:]], colour, 2)
        for at, share in points:
            canvas.whisker(at + aside, frame.y(share.low), frame.y(share.high), colour)
            canvas.dot(at + aside, frame.y(share.value), colour, 3.5)
        left, row = 30 + 153 * (place % 4), 302 + 20 * (place // 4)
        canvas.line([(left, row - 4), (left + 20, row - 4)], colour, 2.4)
        name = f"{version.label}: {version.model}"
        canvas.text(left + 26, row, name if len(name) <= 20 else name[:19] + "…", anchor="start")
    return canvas.svg()


def _epsilon_axis(frame: _Frame, epsilons: Sequence[float]) -> Callable[[float], float]:
    """Draw the axes of accuracy against epsilon; returns where an epsilon stands.

    The axis is logarithmic, and broken between no perturbation, which stands at `_NONE_X`, and the smallest one.
    """
    canvas = frame.canvas
    frame.percent_axis()
    low, high = math.log(epsilons[0]), math.log(epsilons[-1])

    def x(epsilon: float) -> float:
        return 150 + (440 * (math.log(epsilon) - low) / (high - low) if high > low else 220)

    canvas.text(_NONE_X, 254, "none")
    for epsilon in epsilons:
        canvas.text(x(epsilon), 254, epsilon_words(epsilon))
    canvas.text(370, 278, "epsilon, L-inf, on a logarithmic scale")
    canvas.line([(113, 228), (119, 240)], "muted")
    canvas.line([(119, 228), (125, 240)], "muted")
    return x


def before_and_after(record: AuditRecord, attacked: Estimate, label: str) -> Markup:
    """Accuracy before and after the attack at the headline epsilon (the paper's Fig. 5)."""
    clean = record.clean.accuracy
    canvas = _Canvas(300, 270, f"Accuracy before the attack {figure(clean)}, after the attack {figure(attacked)}.")
    frame = _Frame(canvas, 44, 292, 26, 226)
    frame.percent_axis()
    for centre, estimate, colour, words in (
        (110, clean, "clean", "no attack"),
        (230, attacked, "attack", label),
    ):
        canvas.box(centre - 32, frame.y(estimate.value), 64, frame.lower - frame.y(estimate.value), colour)
        canvas.whisker(centre, frame.y(estimate.low), frame.y(estimate.high), "ink")
        canvas.text(centre, frame.y(estimate.high) - 7, percent(estimate.value), colour="ink", bold=True)
        canvas.text(centre, 246, words)
    canvas.line([(frame.left, frame.lower), (frame.right, frame.lower)], "muted")
    return canvas.svg()


def reliability(calibration: Calibration, colour: str = "clean") -> Markup:
    """Accuracy against confidence, with 95% intervals; on the diagonal, confidence can be taken at its word."""
    spoken = "; ".join(
        f"confidence {percent(b.confidence)}: accuracy {percent(b.accuracy.value)} of {b.accuracy.of}"
        for b in calibration.bins
    )
    canvas = _Canvas(300, 230, f"Reliability diagram. {spoken}.")
    frame = _Frame(canvas, 44, 284, 12, 186)
    frame.percent_axis()

    def x(value: float) -> float:
        return frame.left + (frame.right - frame.left) * value

    for step in (0.0, 0.5, 1.0):
        canvas.text(x(step), 204, f"{step:.0%}")
    canvas.text((frame.left + frame.right) / 2, 224, "confidence")
    canvas.line([(x(0), frame.y(0)), (x(1), frame.y(1))], "muted", 1, "3 3")
    for b in calibration.bins:
        canvas.whisker(x(b.confidence), frame.y(b.accuracy.low), frame.y(b.accuracy.high), colour)
        canvas.dot(x(b.confidence), frame.y(b.accuracy.value), colour, 3.5)
    return canvas.svg()


def training_curve(history: Sequence[Epoch], quantity: str) -> Markup:
    """Loss or accuracy by epoch, of the training and the held-out images (the paper's Fig. 2)."""
    train = [getattr(epoch, quantity) for epoch in history]
    held_out = [getattr(epoch, f"val_{quantity}") for epoch in history]
    is_loss = quantity == "loss"
    top = max(*train, *held_out, 1e-9) * 1.08 if is_loss else 1.0
    form = "{:.3f}" if is_loss else "{:.1%}"
    canvas = _Canvas(
        320, 250,
        f"{quantity.capitalize()} by epoch: training from {form.format(train[0])} to {form.format(train[-1])}, "
        f"held-out from {form.format(held_out[0])} to {form.format(held_out[-1])}.",
    )  # fmt: skip
    frame = _Frame(canvas, 46, 306, 34, 206, top)
    if is_loss:
        for step in range(5):
            value = top * step / 4
            canvas.line([(frame.left, frame.y(value)), (frame.right, frame.y(value))], "rule")
            canvas.text(frame.left - 8, frame.y(value) + 4, f"{value:.2f}", anchor="end")
    else:
        frame.percent_axis()
    epochs = len(history)

    def x(epoch: int) -> float:
        return frame.left + 8 + (frame.right - frame.left - 16) * ((epoch - 1) / (epochs - 1) if epochs > 1 else 0.5)

    for epoch in range(1, epochs + 1):
        if epoch == epochs or ((epoch - 1) % max(1, math.ceil(epochs / 7)) == 0 and epochs - epoch > epochs / 12):
            canvas.text(x(epoch), 224, str(epoch))
    canvas.text((frame.left + frame.right) / 2, 243, "epoch")
    for values, colour, dash, words, place in (
        (train, "clean", "", "training", frame.left + 4),
        (held_out, "attack", "5 3", "held-out", frame.left + 100),
    ):
        points = [(x(n), frame.y(value)) for n, value in enumerate(values, start=1)]
        canvas.line(points, colour, 2, dash)
        if epochs == 1:
            canvas.dot(*points[0], colour)
        canvas.line([(place, 14), (place + 22, 14)], colour, 2, dash)
        canvas.text(place + 28, 18, words, anchor="start")
    return canvas.svg()


def accuracy_by_time(history: History) -> Markup:
    """Accuracy with and without attack against the time of the audit, with 95% bands.

    A line joins audits of one series and no others; a series of one audit is two dots with their intervals.
    """
    first, last = history.audits[0], history.audits[-1]
    several = len(history.series) > 1
    canvas = _Canvas(
        760, 330,
        f"Accuracy of {len(history.audits)} audits in {len(history.series)} series from {first.finished:%Y-%m-%d} to "
        f"{last.finished:%Y-%m-%d}. First: {percent(first.clean.value)} without an attack, {_robust(first)}. "
        f"Last: {percent(last.clean.value)} without an attack, {_robust(last)}.",
    )  # fmt: skip
    frame = _Frame(canvas, 48, 744, 42, 276)
    frame.percent_axis()
    start, length = first.finished.timestamp(), (last.finished - first.finished).total_seconds()

    def x(moment: datetime) -> float:
        return 64 + 664 * ((moment.timestamp() - start) / length if length else 0.5)

    for moment in _ticks(history.audits):
        form = "%Y-%m-%d" if length > 3 * 86400 else "%m-%d %H:%M"
        canvas.line([(x(moment), frame.lower), (x(moment), frame.lower + 4)], "muted")
        canvas.text(x(moment), 294, f"{moment:{form}}", anchor="middle" if 40 < x(moment) < 720 else "end")
    canvas.text(396, 318, "time at which the audit ended (UTC)")
    members: dict[int, list[Entry]] = {}
    for entry in history.audits:
        members.setdefault(entry.series, []).append(entry)
    radius = 3.5 if len(history.audits) <= 40 else 2.2 if len(history.audits) <= 200 else 1.2
    for number, entries in members.items():
        dash = _DASHES[(number - 1) % len(_DASHES)]
        for colour, shares in (
            ("clean", [(x(entry.finished), entry.clean) for entry in entries]),
            ("attack", [(x(entry.finished), entry.robust) for entry in entries if entry.robust]),
        ):
            _trend(frame, shares, colour, dash, radius)
        if several and len(members) <= _NUMBERED:
            height = min(frame.y(entries[0].clean.high), frame.lower) - 7
            canvas.text(x(entries[0].finished), height, str(number), colour="ink", bold=True)
    for left, colour, words in ((48, "clean", "no attack"), (150, "attack", "worst case over the attacks")):
        canvas.line([(left, 16), (left + 22, 16)], colour, 2)
        canvas.text(left + 28, 20, words, anchor="start")
    if several and len(members) <= _NUMBERED:
        canvas.text(744, 20, "bold figures: number of the series", anchor="end")
    return canvas.svg()


def _robust(entry: Entry) -> str:
    return f"{percent(entry.robust.value)} in the worst case" if entry.robust else "worst case not measured"


def _trend(frame: _Frame, shares: Sequence[tuple[float, Share]], colour: str, dash: str, radius: float) -> None:
    """Draw one line with its band and dots."""
    if len(shares) > 1:
        upper = [(x, frame.y(share.high)) for x, share in shares]
        lower = [(x, frame.y(share.low)) for x, share in reversed(shares)]
        frame.canvas.area([*upper, *lower], colour, 0.14)
        frame.canvas.line([(x, frame.y(share.value)) for x, share in shares], colour, 1.8, dash)
    elif shares:
        frame.canvas.whisker(shares[0][0], frame.y(shares[0][1].low), frame.y(shares[0][1].high), colour)
    for x, share in shares:
        frame.canvas.dot(x, frame.y(share.value), colour, radius)


def _ticks(entries: Sequence[Entry], most: int = 6) -> list[datetime]:
    """Up to `most` times at equal distances, the first and the last audit among them."""
    first, length = entries[0].finished, entries[-1].finished - entries[0].finished
    return [first + length * step / (most - 1) for step in range(most)] if length else [first]
