"""What medaudit does, as functions: `train`, `audit`, `resume`, `forecast`, `render`.

The command line is a thin layer over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.errors import BadInputError
from auditor.progress import Progress, Silent
from auditor.record import AuditRecord, read_record
from auditor.settings import AuditSettings, TrainingSettings

if TYPE_CHECKING:
    from os import PathLike

    from auditor.auditing import Forecast
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
    """

    record: AuditRecord
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
    progress: Progress | None = None,
) -> AuditResult:
    """Audit a model and write the folder of the audit: record, predictions, reports, example pictures.

    Args:
        model: a Keras model file, `.h5` or `.keras`, that answers with softmax or logits.
        data: folder with one folder of test images per class, or with such a folder named `test`; or a CSV file, as
            `auditor.data.manifest.read_manifest` reads it.
        output: the audit's folder, new or empty; default `audits/<model>-<UTC time>`.
        settings: the options; default a sweep of FGSM.
        progress: told of the work.

    Raises:
        BadInputError: if the model, the data or an option cannot be used; nothing is left behind.
        AuditInterrupted: if it is interrupted once the attacks have begun; `resume` goes on.
    """
    from auditor.auditing import begin, carry_out, new_folder

    started = datetime.now(UTC)
    identity = f"{Path(model).stem}-{started:%Y%m%dT%H%M%SZ}"
    chosen, listener = settings or AuditSettings(), progress or Silent()
    with new_folder(Path(output) if output is not None else Path("audits") / identity) as folder:
        work = begin(folder, Path(model), Path(data), chosen, identity, f"{started:%Y-%m-%dT%H:%M:%SZ}", listener)
    record = carry_out(work, listener)
    return AuditResult(record, folder, render(folder, record))


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
    from auditor.auditing import carry_out, reopen

    listener = progress or Silent()
    place = Path(folder)
    work = reopen(place, Path(model) if model else None, Path(data) if data else None, listener)
    record = carry_out(work, listener)
    return AuditResult(record, place, render(place, record))


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


def render(folder: str | PathLike[str], record: AuditRecord | None = None) -> Rendered:
    """Draw the reports of an audit, again if need be, from its `results.json` and `examples/` alone.

    Args:
        folder: of a finished audit.
        record: its record, if it is at hand.

    Raises:
        BadInputError: if the folder holds no readable record, or cannot be written.
    """
    from auditor.report.render import render_audit

    return render_audit(Path(folder), record or read_record(Path(folder)))
