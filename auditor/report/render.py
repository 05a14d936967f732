"""Records to HTML and PDF, and for continuous integration to JUnit XML and Markdown."""

from __future__ import annotations

import base64
import io
import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from auditor.comparison.record import FILE_NAME as COMPARISON
from auditor.comparison.record import PICTURES, read_comparison
from auditor.epsilon import epsilon_words
from auditor.errors import BadInputError
from auditor.evidence.manifest import BEFORE_REPORTS, to_json
from auditor.files import sha256_file, write_bytes, write_text
from auditor.record import FILE_NAME
from auditor.report import charts, junit, markdown, words
from auditor.report.clauses import clause_map
from auditor.report.comparison import comparison_summary

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.comparison.record import Comparison
    from auditor.evidence.manifest import Manifest
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


@dataclass(frozen=True)
class _Attached:
    """A file inside a PDF: its name, what it is in words, how it relates to the PDF (`AFRelationship`), its bytes."""

    name: str
    words: str
    relationship: str
    content: bytes


def render_audit(folder: Path, record: AuditRecord, manifest: Manifest | None = None) -> Rendered:
    """Draw `report.html`, `report.pdf`, `junit.xml` and `summary.md` of an audit.

    The PDF holds `results.json` and the manifest as it was before any report: it cannot hold its own hash.

    Args:
        folder: of the audit.
        record: its record.
        manifest: its manifest, if it has one.

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
        critical_parts=words.direction_parts(record.critical, record.model.classes) if record.critical else None,
        targeted=any(result.parameters.get("targeted") for result in record.attacks),
        rivals=words.counted_attacks(record, worst) if worst else "",
        sentences=words.headline(record),
        data_warnings=words.data_warnings(record),
        repeated=words.repeated(record),
        directions=words.directions(record),
        clauses=clause_map(record, compared),
        compared=compared,
        curve=charts.accuracy_by_epsilon(record),
        bars=charts.before_and_after(record, hurt, f"{label} {epsilon_words(at)}") if hurt else "",
        reliability=charts.reliability(record.clean.calibration),
        attacked_reliability=charts.reliability(attack.calibration, "attack") if attack else "",
        results_sha256=sha256_file(folder / FILE_NAME) if (folder / FILE_NAME).is_file() else "",
    )  # fmt: skip
    others = folder / junit.FILE_NAME, folder / markdown.FILE_NAME
    write_text(others[0], junit.junit(record))
    write_text(others[1], markdown.summary(record))
    inside = []
    if (folder / FILE_NAME).is_file():
        content = (folder / FILE_NAME).read_bytes()
        inside.append(_Attached(FILE_NAME, "The record this report is drawn from", "Source", content))
    if manifest:
        content = to_json(manifest.before_reports).encode()
        inside.append(_Attached(BEFORE_REPORTS, "SHA-256 of all that went in, and of the record", "Data", content))
    reports = _write(page, folder / "report.html", folder / "report.pdf", record.audit.finished, inside)
    return replace(reports, others=others)


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
    content = comparison.model_dump_json(indent=1).encode()
    inside = [_Attached(COMPARISON, "The figures this report is drawn from", "Source", content)]
    reports = _write(page, folder / "comparison.html", folder / "comparison.pdf", comparison.created, inside)
    return replace(reports, others=(summary,))


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
    html, pdf = model.with_suffix(".training.html"), model.with_suffix(".training.pdf")
    return _write(page, html, pdf, sidecar.finished, [])


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


def _write(page: str, html: Path, pdf: Path, when: str, inside: Sequence[_Attached]) -> Rendered:
    """Write a page as HTML, and as PDF/A-3 if WeasyPrint finds its system library.

    Args:
        page: the page.
        html: where it goes.
        pdf: where the PDF goes.
        when: UTC time of what it reports, which is the date of the PDF: drawn again it is the same to the byte.
        inside: what the PDF holds besides.
    """
    write_text(html, page)
    # WeasyPrint warns of every rule that is for screens only.
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    try:
        from weasyprint import HTML, Attachment
    except OSError:
        # A report of an earlier drawing would not match the new page.
        pdf.unlink(missing_ok=True)
        return Rendered(
            html, None, "the system library Pango is missing; install it (Debian: `apt install libpango-1.0-0 "
            "libpangoft2-1.0-0`) and draw the report again.",
        )  # fmt: skip
    moment = _moment(when)
    attachments = [
        Attachment(
            file_obj=io.BytesIO(file.content), name=file.name, description=file.words, created=moment, modified=moment,
            relationship=file.relationship,
        )
        for file in inside
    ]  # fmt: skip
    options = {"pdf_variant": "pdf/a-3u", "pdf_tags": True, "attachments": attachments}
    with _dated(moment):
        document = HTML(string=page).render(**options)
        document.metadata.created = document.metadata.modified = f"{moment:%Y-%m-%dT%H:%M:%SZ}"
        content = document.write_pdf(finisher=_each_once, **options)
    write_bytes(pdf, content)
    return Rendered(html, pdf)


def _each_once(_: object, pdf: Any) -> None:
    """Have the catalogue of a PDF name each file that it holds once: WeasyPrint finds them in two ways."""
    if files := pdf.catalog.get("AF"):
        files[:] = dict.fromkeys(files)


def _moment(when: str) -> datetime:
    """Read a UTC time; the beginning of the epoch where a record holds none."""
    try:
        return datetime.fromisoformat(when).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)


@contextmanager
def _dated(moment: datetime) -> Iterator[None]:
    """Have that time written into the fonts of a PDF, where fontTools would put the present one."""
    name, before = "SOURCE_DATE_EPOCH", os.environ.get("SOURCE_DATE_EPOCH")
    os.environ[name] = str(max(0, int(moment.timestamp())))
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
