"""What medaudit does, as functions: `train`, `audit`, `resume`, `forecast`, `compare`, `render`, `verify`.

The command line is a thin layer over them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.comparison.record import FILE_NAME as COMPARISON
from auditor.comparison.record import MOST_VERSIONS, Comparison, read_comparison
from auditor.errors import AuditInterrupted, BadInputError, MedauditError
from auditor.log import audit_log
from auditor.progress import Progress, Several, Silent
from auditor.record import FILE_NAME, AuditRecord, read_record
from auditor.settings import AuditSettings, TrainingSettings
from auditor.tracking import log_audit, name_of, pinned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from os import PathLike

    from auditor.auditing import Forecast, Work
    from auditor.comparison.versions import Audited
    from auditor.evidence.signature import Signer
    from auditor.evidence.verify import Verification
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
        data: folder with one folder of images per class, or an NPZ file.
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
    sign: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> AuditResult:
    """Audit a model and write the folder of the audit: record, predictions, reports, example pictures.

    Args:
        model: a Keras model file, `.h5` or `.keras`, or the folder of a TensorFlow SavedModel, that answers with
            softmax, a sigmoid or logits; or the URI of one in MLflow, `models:/name/version`, `models:/name@alias` or
            `runs:/run/path`.
        data: folder with one folder of test images per class, or with such folders in a folder named `test`; or a CSV
            file, as `auditor.data.manifest.read_manifest` reads it; or an NPZ file, as
            `auditor.data.archive.read_archive` does.
        output: the audit's folder, new or empty; default `audits/<model>-<UTC time>`.
        settings: the options; default those of the baseline on which the attacks depend, or a sweep of FGSM.
        baseline: folder of the audit of a version to compare with, on the same images with the same attacks.
        sign: an Ed25519 private key in PEM to sign the audit with; its passphrase, if it has one, is in the
            environment variable `MEDAUDIT_SIGN_PASSPHRASE`.
        progress: told of the work.

    Raises:
        BadInputError: if the model is not safe to load, the model, the data, the baseline, the key or an option cannot
            be used, or another process is at work in the folder; nothing is left behind.
        AuditInterrupted: if it is interrupted once the attacks have begun; `resume` goes on.
    """
    from auditor.auditing import begin, check_new, new_folder
    from auditor.comparison.versions import inherited
    from auditor.engine.journal import held

    started, signer = datetime.now(UTC), _signer(sign)
    subject = pinned(Path(model))
    identity = f"{name_of(subject)}-{started:%Y%m%dT%H%M%SZ}"
    before = Path(baseline) if baseline is not None else None
    chosen = settings or AuditSettings(**(inherited(read_record(before)) if before else {}))
    place = Path(output) if output is not None else Path("audits") / identity
    check_new(place)
    with held(place), audit_log(place, [subject, Path(data), place]) as log:
        listener = Several(progress or Silent(), log)
        with new_folder(place):
            listener.mark("started", audit=identity, tool_version=version("medaudit"), data=Path(data).name)
            work = begin(
                place, subject, Path(data), chosen, identity, f"{started:%Y-%m-%dT%H:%M:%SZ}", listener, before
            )
        return _finish(work, listener, signer)


def resume(
    folder: str | PathLike[str],
    model: str | PathLike[str] | None = None,
    data: str | PathLike[str] | None = None,
    *,
    sign: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> AuditResult:
    """Go on with an audit that was interrupted; no finished batch is computed again.

    Args:
        folder: of the audit.
        model: where the model lies now, if it was moved.
        data: where the data lie now, if they were moved.
        sign: as for `audit`.
        progress: told of the work.

    Raises:
        BadInputError: if the folder holds no unfinished audit, another process is at work in it, or the model, the data
            or anything else that the figures depend on has changed.
        AuditInterrupted: if it is interrupted again.
    """
    from auditor.auditing import check_unfinished, reopen
    from auditor.engine.journal import held

    place, signer = Path(folder), _signer(sign)
    header = check_unfinished(place)
    private = [Path(path) for path in (header.model, header.data, model, data, place) if path]
    with held(place), audit_log(place, private) as log:
        listener = Several(progress or Silent(), log)
        listener.mark("resumed", audit=header.id, tool_version=version("medaudit"))
        work = reopen(place, Path(model) if model else None, Path(data) if data else None, listener)
        return _finish(work, listener, signer)


def _signer(key: str | PathLike[str] | None) -> Signer | None:
    from auditor.evidence.signature import read_private_key

    return read_private_key(Path(key)) if key is not None else None


def _finish(work: Work, progress: Progress, signer: Signer | None) -> AuditResult:
    """Carry out an audit, and write all that its folder is to hold; `resume` goes on wherever it is interrupted."""
    try:
        result = _write_audit(work, progress, signer)
    except KeyboardInterrupt as error:
        raise AuditInterrupted(work.folder) from error
    # Last of all: a folder without a journal is a finished audit.
    work.journal.end()
    return result


def _write_audit(work: Work, progress: Progress, signer: Signer | None) -> AuditResult:
    """Carry out an audit, compare it with its baseline, and draw the reports."""
    from auditor.auditing import carry_out
    from auditor.comparison.versions import read_audit
    from auditor.comparison.write import write_comparison
    from auditor.evidence.manifest import describe, write_manifest

    record, comparison, images = carry_out(work, progress), None, work.prepared.tests.images
    if work.baseline:
        comparison = write_comparison([work.baseline, read_audit(work.folder)], work.folder, images)
    # The last line of the log, whose hash is taken now: before the reports, which hold the manifest.
    progress.mark("finished", verdict=record.verdict.status, clean=record.clean.accuracy.value)
    write_manifest(work.folder, describe(work.folder, record, images))
    reports = _draw(work.folder, record, signer)
    progress.mark("reports", pdf=reports.pdf is not None)
    return AuditResult(record, work.folder, reports, comparison)


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
    from auditor.auditing import check_new, new_folder
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
    if output is not None:
        check_new(Path(output))
    audits: list[Audited] = []
    for path in paths:
        folder = path if path in finished else audit(path, data or "", settings=settings, progress=listener).folder
        audits.append(read_audit(folder))
        # After each, so that no more audits are made than can be compared.
        check_comparable(audits)
    now = datetime.now(UTC)
    identity = f"{audits[0].record.model.name}-{now:%Y%m%dT%H%M%SZ}"
    with new_folder(Path(output) if output is not None else Path("comparisons") / identity) as place:
        images = find_images(audits[0], Path(data), listener) if data is not None else None
        comparison = write_comparison(audits, place, images)
    return ComparisonResult(comparison, place, render(place))


def log_to_mlflow(folder: str | PathLike[str]) -> str:
    """Log a finished audit to the MLflow server in use, as `auditor.tracking.log_audit` says; returns the run's id.

    Raises:
        BadInputError: if the folder holds no finished audit, or MLflow does not take it.
    """
    return log_audit(Path(folder), read_record(Path(folder)))


def render(
    folder: str | PathLike[str], record: AuditRecord | None = None, *, sign: str | PathLike[str] | None = None
) -> Rendered:
    """Draw the reports of an audit or a comparison, again if need be, from its JSON files and pictures alone.

    The hashes of the reports in the audit's manifest, if it has one, are renewed, and no others.

    Args:
        folder: of a finished audit or a comparison.
        record: its record, if it is at hand.
        sign: as for `audit`; an earlier signature is of the earlier reports.

    Raises:
        BadInputError: if the folder holds no readable record, or cannot be written, or what it holds cannot be signed.
    """
    return _draw(Path(folder), record, _signer(sign))


def _draw(place: Path, record: AuditRecord | None, signer: Signer | None) -> Rendered:
    """Draw the reports, renew their hashes, and sign."""
    from auditor.evidence.attestation import attest
    from auditor.evidence.bom import write_bom
    from auditor.evidence.manifest import FILE_NAME as MANIFEST
    from auditor.evidence.manifest import read_manifest, with_reports, write_manifest
    from auditor.report.render import render_audit, render_comparison

    drawn: list[Path] = []
    manifest = read_manifest(place) if (place / MANIFEST).is_file() else None
    if signer and not manifest:
        raise BadInputError(f"{place} holds no {MANIFEST}: it is no audit that can be signed.")
    if (place / COMPARISON).is_file():
        reports = render_comparison(place, read_comparison(place))
        if not (place / FILE_NAME).is_file():
            return reports
        drawn += reports.files
    known = record or read_record(place)
    try:
        reports = render_audit(place, known, manifest)
    except MedauditError:
        raise
    except Exception as error:  # a record from elsewhere may be well-formed and name a class that it does not have
        if record:
            raise
        raise BadInputError(
            f"{place / FILE_NAME} contradicts itself, and no report can be drawn ({type(error).__name__}: {error}). "
            "Give the folder as medaudit wrote it."
        ) from error
    drawn += [*reports.files, write_bom(place, known)]
    if manifest:
        manifest = with_reports(manifest, place, drawn)
        write_manifest(place, manifest)
        if signer:
            attest(place, known, manifest, signer)
    return reports


def verify(
    folder: str | PathLike[str],
    *,
    model: str | PathLike[str] | None = None,
    data: str | PathLike[str] | None = None,
    key: str | PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Verify an audit: its files against its manifest, its figures against its predictions, and its signature.

    Neither the model nor TensorFlow is needed.

    Args:
        folder: of the audit.
        model: the model file, to make sure that it is the one that was audited.
        data: the data folder or CSV file, to make sure that the test images are the same.
        key: the Ed25519 public key in PEM of who is to have signed it.
        progress: told of the images that are read.

    Raises:
        BadInputError: if the folder has no manifest that can be read, or the model or the key cannot be read.
    """
    from auditor.data.split import find_test_set
    from auditor.evidence.attestation import check_attestation
    from auditor.evidence.signature import read_public_key
    from auditor.evidence.verify import Finding, Verification, check_images, check_model, joined, verify_folder

    place, public = Path(folder), read_public_key(Path(key)) if key is not None else None
    own, manifest, record = verify_folder(place)
    parts = [own, check_attestation(place, manifest, record, public)]
    if model is not None:
        wrong = check_model(Path(model), manifest)
        parts.append(Verification(tuple(wrong), () if wrong else ("the model is the one that was audited",), ()))
    else:
        parts.append(Verification((), (), ("the model file; --model names it",)))
    if data is not None:
        classes = record.model.classes if record else None
        links = record.audit.config.follow_links if record else False
        try:
            there = find_test_set(Path(data), classes, None, progress, follow_links=links).images
            wrong = check_images(there, manifest)
        except BadInputError as error:
            wrong = [Finding("unreadable", Path(data).name, str(error))]
        words = f"all {len(manifest.data.images)} test images are the ones that were used"
        parts.append(Verification(tuple(wrong), () if wrong else (words,), ()))
    else:
        parts.append(Verification((), (), ("the test images; --data names them",)))
    return joined(parts)
