"""What medaudit does, as functions: `train`, `audit`, `resume`, `forecast`, `compare`, `render`.

The command line is a thin layer over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.comparison.record import FILE_NAME as COMPARISON
from auditor.comparison.record import MOST_VERSIONS, Comparison, read_comparison
from auditor.errors import BadInputError
from auditor.progress import Progress, Silent
from auditor.record import FILE_NAME, AuditRecord, read_record
from auditor.settings import AuditSettings, TrainingSettings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from auditor.auditing import Forecast, Work
    from auditor.report.render import Rendered
    from auditor.sidecar import Sidecar


@dataclass(frozen=True)
class TrainResult:
    """A finished training.

    Attributes:
        sidecar: what was recorded beside the model; its `status` tells whether training was interrupted.
        model: the model file.
        reports: the training report.
    """

    sidecar: Sidecar
    model: Path
    reports: Rendered


@dataclass(frozen=True)
class AuditResult:
    """A finished audit.

    Attributes:
        record: the figures.
        folder: where everything was written.
        reports: the reports drawn from them.
        comparison: with the baseline, if one was named.
    """

    record: AuditRecord
    folder: Path
    reports: Rendered
    comparison: Comparison | None = None


@dataclass(frozen=True)
class ComparisonResult:
    """A finished comparison.

    Attributes:
        comparison: the figures.
        folder: where everything was written.
        reports: the reports drawn from them.
    """

    comparison: Comparison
    folder: Path
    reports: Rendered


def train(
    data: str | PathLike[str],
    output: str | PathLike[str],
    settings: TrainingSettings | None = None,
    *,
    progress: Progress | None = None,
) -> TrainResult:
    """Train the paper's model on a folder of images; write it, its record and a training report.

    If the folder has parts `train` and `test` they are used; else the images are split class by class.

    Args:
        data: folder with one folder of images per class.
        output: the model file, ending in `.h5` or `.keras`.
        settings: how to train; default the paper's values. `weights` may be the path of a file.
        progress: told of the work.

    Raises:
        BadInputError: if the data, the settings or the output cannot be used.
        KeyboardInterrupt: if it is interrupted before the first epoch is done; nothing is written.
    """
    from auditor.data.split import training_sets
    from auditor.report.render import render_training
    from auditor.training.train import train as run

    chosen, weights, model = settings or TrainingSettings(), None, Path(output)
    if chosen.weights not in {"imagenet", "random"}:
        weights = Path(chosen.weights)
        if not weights.is_file():
            raise BadInputError(f"The weight file {weights} does not exist.")
        chosen = chosen.model_copy(update={"weights": weights.name})
    train_set, test_set = training_sets(Path(data), chosen, progress)
    sidecar = run(train_set, test_set, model, chosen, weights=weights, progress=progress)
    return TrainResult(sidecar, model, render_training(model, sidecar))


def audit(
    model: str | PathLike[str],
    data: str | PathLike[str],
    output: str | PathLike[str] | None = None,
    settings: AuditSettings | None = None,
    *,
    baseline: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> AuditResult:
    """Audit a model and write the folder of the audit: record, predictions, reports, example pictures.

    Args:
        model: a Keras model file, `.h5` or `.keras`, or the folder of a TensorFlow SavedModel, that answers with
            softmax, a sigmoid or logits.
        data: folder with one folder of test images per class, or with such a folder named `test`; or a CSV file, as
            `auditor.data.manifest.read_manifest` reads it.
        output: the audit's folder, new or empty; default `audits/<model>-<UTC time>`.
        settings: the options; default those of the baseline on which the attacks depend, or a sweep of FGSM.
        baseline: folder of the audit of a version to compare with, on the same images with the same attacks.
        progress: told of the work.

    Raises:
        BadInputError: if the model is not safe to load, or the model, the data, the baseline or an option cannot be
            used; nothing is left behind.
        AuditInterrupted: if it is interrupted once the attacks have begun; `resume` goes on.
    """
    from auditor.auditing import begin, new_folder
    from auditor.comparison.versions import inherited

    started = datetime.now(UTC)
    whole = Path(model).absolute()
    identity = f"{whole.name if whole.is_dir() else whole.stem}-{started:%Y%m%dT%H%M%SZ}"
    before, listener = Path(baseline) if baseline is not None else None, progress or Silent()
    chosen = settings or AuditSettings(**(inherited(read_record(before)) if before else {}))
    with new_folder(Path(output) if output is not None else Path("audits") / identity) as folder:
        work = begin(
            folder, Path(model), Path(data), chosen, identity, f"{started:%Y-%m-%dT%H:%M:%SZ}", listener, before
        )
    return _finish(work, listener)


def resume(
    folder: str | PathLike[str],
    model: str | PathLike[str] | None = None,
    data: str | PathLike[str] | None = None,
    *,
    progress: Progress | None = None,
) -> AuditResult:
    """Go on with an audit that was interrupted; no finished batch is computed again.

    Args:
        folder: of the audit.
        model: where the model lies now, if it was moved.
        data: where the data lie now, if they were moved.
        progress: told of the work.

    Raises:
        BadInputError: if the folder holds no unfinished audit, or the model, the data or anything else that
            the figures depend on has changed.
        AuditInterrupted: if it is interrupted again.
    """
    from auditor.auditing import reopen

    listener = progress or Silent()
    work = reopen(Path(folder), Path(model) if model else None, Path(data) if data else None, listener)
    return _finish(work, listener)


def _finish(work: Work, progress: Progress) -> AuditResult:
    """Carry out an audit, compare it with its baseline, and draw the reports."""
    from auditor.auditing import carry_out
    from auditor.comparison.versions import read_audit
    from auditor.comparison.write import write_comparison

    record, comparison = carry_out(work, progress), None
    if work.baseline:
        comparison = write_comparison([work.baseline, read_audit(work.folder)], work.folder, work.prepared.tests.images)
    return AuditResult(record, work.folder, render(work.folder, record), comparison)


def forecast(
    model: str | PathLike[str],
    data: str | PathLike[str],
    settings: AuditSettings | None = None,
    *,
    progress: Progress | None = None,
) -> Forecast:
    """Say what an audit would do, and what it would take on this machine by a short trial; writes nothing.

    Raises:
        BadInputError: if the model, the data or an option cannot be used.
    """
    from auditor.auditing import estimate

    return estimate(Path(model), Path(data), settings or AuditSettings(), progress or Silent())


def compare(
    versions: Sequence[str | PathLike[str]],
    output: str | PathLike[str] | None = None,
    *,
    data: str | PathLike[str] | None = None,
    settings: AuditSettings | None = None,
    progress: Progress | None = None,
) -> ComparisonResult:
    """Compare versions of a model, the first of which is the baseline.

    Args:
        versions: two or more folders of finished audits, or model files, which are audited first.
        output: folder of the comparison, new or empty; default `comparisons/<baseline>-<UTC time>`.
        data: the images of the audits: needed for model files; else for pictures of images newly broken and mended.
        settings: the options of the audits of model files; default those of the first audit given on which the attacks
            depend, or a sweep of FGSM.
        progress: told of the work.

    Raises:
        BadInputError: if the versions cannot be compared: they were put to other images or other attacks.
        AuditInterrupted: if the audit of a model file is interrupted; `resume` goes on with it.
    """
    from auditor.auditing import new_folder
    from auditor.comparison.versions import check_comparable, inherited, read_audit
    from auditor.comparison.write import find_images, write_comparison

    listener, paths = progress or Silent(), [Path(version) for version in versions]
    if not 2 <= len(paths) <= MOST_VERSIONS:
        raise BadInputError(f"Two to {MOST_VERSIONS} versions can be compared; {len(paths)} were given.")
    finished = [path for path in paths if (path / FILE_NAME).is_file()]
    if len(finished) < len(paths) and data is None:
        model = next(path for path in paths if path not in finished)
        raise BadInputError(f"{model} is no finished audit. To audit a model first, name the images with --data.")
    begun = [read_audit(path) for path in finished]
    if settings is None:
        settings = AuditSettings(**(inherited(begun[0].record) if begun else {}))
    check_comparable(begun)
    audits = [
        read_audit(path if path in finished else audit(path, data or "", settings=settings, progress=listener).folder)
        for path in paths
    ]
    check_comparable(audits)
    now = datetime.now(UTC)
    identity = f"{audits[0].record.model.name}-{now:%Y%m%dT%H%M%SZ}"
    with new_folder(Path(output) if output is not None else Path("comparisons") / identity) as folder:
        images = find_images(audits[0], Path(data), listener) if data is not None else None
        comparison = write_comparison(audits, folder, images)
    return ComparisonResult(comparison, folder, render(folder))


def render(folder: str | PathLike[str], record: AuditRecord | None = None) -> Rendered:
    """Draw the reports of an audit or a comparison, again if need be, from its JSON files and pictures alone.

    Args:
        folder: of a finished audit or a comparison.
        record: its record, if it is at hand.

    Raises:
        BadInputError: if the folder holds no readable record, or cannot be written.
    """
    from auditor.report.render import render_audit, render_comparison

    place = Path(folder)
    if (place / COMPARISON).is_file():
        reports = render_comparison(place, read_comparison(place))
        if not (place / FILE_NAME).is_file():
            return reports
    return render_audit(place, record or read_record(place))
