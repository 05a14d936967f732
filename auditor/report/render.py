"""Records to HTML and PDF, and for continuous integration to JUnit XML and Markdown."""

from __future__ import annotations

import base64
import logging
import os
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from auditor.comparison.record import FILE_NAME as COMPARISON
from auditor.comparison.record import PICTURES, read_comparison
from auditor.epsilon import epsilon_words
from auditor.errors import BadInputError
from auditor.files import write_bytes, write_text
from auditor.report import charts, junit, markdown, words
from auditor.report.clauses import clause_map
from auditor.report.comparison import comparison_summary

if TYPE_CHECKING:
    from auditor.comparison.record import Comparison
    from auditor.history import History
    from auditor.record import AuditRecord
    from auditor.sidecar import Sidecar


@dataclass(frozen=True)
class Rendered:
    """The reports that were written.

    Attributes:
        html: always written.
        pdf: None where WeasyPrint cannot run.
        why_no_pdf: then the reason and the remedy, in one sentence.
        others: other files that were drawn with them.
    """

    html: Path
    pdf: Path | None
    why_no_pdf: str | None = None
    others: tuple[Path, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that was written."""
        return (self.html, *([self.pdf] if self.pdf else []), *self.others)


def templates_folder() -> Path:
    """Where the templates lie: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "templates"
    return inside if inside.is_dir() else package.parent / "templates"


def render_audit(folder: Path, record: AuditRecord) -> Rendered:
    """Draw `report.html`, `report.pdf`, `junit.xml` and `summary.md` of an audit.

    Raises:
        BadInputError: if the folder cannot be written, or lacks a picture.
    """
    attack, worst = words.headline_attack(record), words.headline_worst(record)
    compared = read_comparison(folder) if (folder / COMPARISON).is_file() else None
    # Page one speaks of the worst case over the attacks; where there is one attack, of that.
    several = words.several(record) and worst is not None
    hurt = worst.accuracy if worst and several else attack.accuracy if attack else None
    at = attack.epsilon if attack and not several else record.headline_epsilon
    label = "worst case" if several else attack.name if attack else ""
    page = _environment(folder).get_template("audit.html.j2").render(
        record=record,
        attack=attack,
        worst=worst,
        several=several,
        sentences=words.headline(record),
        directions=words.directions(record),
        clauses=clause_map(record, compared),
        compared=compared,
        curve=charts.accuracy_by_epsilon(record),
        bars=charts.before_and_after(record, hurt, f"{label} {epsilon_words(at)}") if hurt else "",
        reliability=charts.reliability(record.clean.calibration),
        attacked_reliability=charts.reliability(attack.calibration, "attack") if attack else "",
    )  # fmt: skip
    others = folder / junit.FILE_NAME, folder / markdown.FILE_NAME
    write_text(others[0], junit.junit(record))
    write_text(others[1], markdown.summary(record))
    return replace(_write(page, folder / "report.html", folder / "report.pdf"), others=others)


def render_comparison(folder: Path, comparison: Comparison) -> Rendered:
    """Draw `comparison.html`, `comparison.pdf` and `comparison.md`.

    Raises:
        BadInputError: if the folder cannot be written, or lacks a picture.
    """
    page = _environment(folder, PICTURES).get_template("comparison.html.j2").render(
        c=comparison, curve=charts.versions_by_epsilon(comparison)
    )  # fmt: skip
    summary = folder / "comparison.md"
    write_text(summary, comparison_summary(comparison))
    return replace(_write(page, folder / "comparison.html", folder / "comparison.pdf"), others=(summary,))


def render_history(file: Path, history: History) -> None:
    """Draw the trend over audits as a page, with links to the reports that there are.

    Raises:
        BadInputError: if the file cannot be written.
    """
    reports = [Path(history.folder, entry.folder, "report.html") for entry in history.audits]
    page = _environment(file.parent).get_template("history.html.j2").render(
        history=history,
        rows=[(entry, _link(report, file.parent)) for entry, report in zip(history.audits, reports, strict=True)],
        chart=charts.accuracy_by_time(history),
        comparability=words.comparability(history),
        tool_version=version("medaudit"),
    )  # fmt: skip
    write_text(file, page)


def _link(target: Path, start: Path) -> str | None:
    """Address of a file as seen from a folder; None if there is no such file."""
    if not target.is_file():
        return None
    # The dot keeps the first part of a path from being taken for a scheme.
    return "./" + quote(Path(os.path.relpath(target.resolve(), start.resolve())).as_posix())


def render_training(model: Path, sidecar: Sidecar) -> Rendered:
    """Draw the training report beside a model: `model.training.html` and `model.training.pdf`.

    Raises:
        BadInputError: if the folder cannot be written.
    """
    page = _environment(model.parent).get_template("training.html.j2").render(
        training=sidecar,
        loss=charts.training_curve(sidecar.history, "loss"),
        accuracy=charts.training_curve(sidecar.history, "accuracy"),
        reliability=charts.reliability(sidecar.test.calibration),
    )  # fmt: skip
    return _write(page, model.with_suffix(".training.html"), model.with_suffix(".training.pdf"))


def _environment(folder: Path, pictures: str = "examples") -> jinja2.Environment:
    """Templates that escape every text, with the figures of `words` as filters; pictures lie in that folder."""
    root = templates_folder()
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for function in (
        words.arrow, words.counted, words.described, epsilon_words, words.figure, words.interval, words.percent,
        words.points, words.probability,
    ):  # fmt: skip
        environment.filters[function.__name__] = function

    def picture(name: str) -> str:
        # The record may come from elsewhere: it may name pictures of its own folder and nothing else.
        path = (folder / name).resolve()
        if not path.is_relative_to((folder / pictures).resolve()) or path.suffix != ".png" or not path.is_file():
            raise BadInputError(f"{folder} lacks the picture {name!r} that its record names in the folder {pictures}.")
        return _data_uri("image/png", path)

    def font(name: str) -> Markup:
        return Markup(_data_uri("font/woff2", root / "fonts" / name))  # noqa: S704 - base64 of our own file

    def style(name: str) -> Markup:
        return Markup(environment.get_template(name).render(font=font))  # noqa: S704 - our own style sheet

    environment.globals.update(picture=picture, style=style, direction_parts=words.direction_parts)
    return environment


def _data_uri(kind: str, path: Path) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _write(page: str, html: Path, pdf: Path) -> Rendered:
    """Write a page as HTML, and as PDF if WeasyPrint finds its system library."""
    write_text(html, page)
    # WeasyPrint warns of every rule that is for screens only.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    try:
        from weasyprint import HTML
    except OSError:
        # A report of an earlier drawing would not match the new page.
        pdf.unlink(missing_ok=True)
        return Rendered(
            html, None, "the system library Pango is missing; install it (Debian: `apt install libpango-1.0-0 "
            "libpangoft2-1.0-0`) and draw the report again.",
        )  # fmt: skip
    write_bytes(pdf, HTML(string=page).write_pdf(pdf_tags=True))
    return Rendered(html, pdf)
