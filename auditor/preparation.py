"""Everything an audit settles before the long work: model, test images, preprocessing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from auditor.data.folder import shown
from auditor.data.pixels import RESIZE, unit
from auditor.data.split import TestSet, find_test_set
from auditor.errors import BadInputError
from auditor.files import sha256_model
from auditor.models.preprocessing import MODES, candidates, choose, clearly_better, mode_of, try_modes
from auditor.models.subject import Subject, load
from auditor.record import DataInfo, Duplicate, ModelInfo, Preprocessing, PreprocessingScore, Skipped
from auditor.sidecar import Sidecar, read_sidecar
from auditor.tracking import name_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from auditor.data.imageset import ImageSet
    from auditor.models.preprocessing import Mode
    from auditor.progress import Progress
    from auditor.settings import AuditSettings

#: Images on which the candidates are tried where the preprocessing has to be found out.
TRIAL_IMAGES = 64

#: Images on which they are scored where it is known, for the report.
SCORED_IMAGES = 32


@dataclass(frozen=True)
class Prepared:
    """A model and its test images, ready for the attacks.

    Attributes:
        subject: the model.
        tests: the test images.
        model: what the record says of the model.
        data: what the record says of the images.
    """

    subject: Subject
    tests: TestSet
    model: ModelInfo
    data: DataInfo


def prepare(model: Path, data: Path, settings: AuditSettings, progress: Progress) -> Prepared:
    """Load the model, find its test images and settle what it expects.

    Raises:
        BadInputError: if the model or the data cannot be used, or do not fit together.
    """
    sidecar = _sidecar_of(model)
    classes = settings.classes or (tuple(sidecar.classes) if sidecar else None)
    recorded = sidecar.split if sidecar else None
    tests = find_test_set(data, classes, recorded, progress, follow_links=settings.follow_links)
    names = tests.images.classes
    if settings.critical and (settings.critical[0] == settings.critical[1] or not set(settings.critical) <= set(names)):
        raise BadInputError(
            f"The critical error {':'.join(settings.critical)} does not name two of the classes "
            f"{', '.join(map(repr, names))}."
        )
    subject = load(model, settings.head, settings.allow_unsafe)
    if found := subject.inspection.findings:
        progress.say(
            f"{model} was loaded although it is not safe ({found[0]}{', and more' if len(found) > 1 else ''}): its "
            "SHA-256 was given with --allow-unsafe. Its code runs with your rights."
        )
    if len(names) != subject.outputs:
        raise BadInputError(
            f"{model} distinguishes {subject.outputs} classes, but {data} has {len(names)}: "
            f"{', '.join(map(repr, names))}."
        )
    preprocessing = _settle(subject, tests.images, settings, sidecar, progress)
    subject.confirm_head(_some(subject, tests.images, _rows(tests.images, SCORED_IMAGES)))
    _check_gradient(subject)
    return Prepared(
        subject,
        tests,
        ModelInfo(
            path=subject.inspection.path,
            sha256=subject.inspection.sha256,
            name=name_of(model),
            format=subject.inspection.format,
            written_by=subject.inspection.written_by,
            loader=subject.network.loader,
            architecture=subject.network.architecture,
            input_shape=subject.input_shape,
            channels_first=subject.network.channels_first,
            parameters=subject.network.parameters,
            precision=_precision(subject),
            classes=list(names),
            head=subject.head.kind,
            head_words=subject.head.words,
            unsafe=[str(finding) for finding in subject.inspection.findings],
            preprocessing=preprocessing,
        ),
        DataInfo(
            path=shown(data.resolve().name),
            split=tests.chosen,
            manifest_sha256=tests.images.manifest_sha256,
            images=len(tests.images),
            per_class=tests.images.per_class,
            groups=len(set(tests.images.groups)) if tests.images.groups else None,
            recorded=tests.recorded,
            left_out=tests.left_out,
            skipped=[Skipped(path=file.id, reason=file.reason) for file in tests.images.skipped],
            train_overlap=tests.train_overlap,
            resize=RESIZE,
            overlap=list(tests.overlap or ()),
            overlap_with=tests.overlap_with,
            duplicates=_duplicates(tests.images),
            conversions=tests.images.conversions,
        ),
    )


def _duplicates(images: ImageSet) -> list[Duplicate]:
    """List the images that are byte for byte the same, for the record."""
    return [
        Duplicate(
            images=[image.id for image in same],
            classes=sorted({images.classes[image.label] for image in same}),
        )
        for same in images.duplicates
    ]


def _sidecar_of(model: Path) -> Sidecar | None:
    """Read the training record beside a model, if there is one, and make sure that it is the model's own."""
    if not model.exists():
        raise BadInputError(f"The model {model} does not exist.")
    sidecar = read_sidecar(model)
    if sidecar and sidecar.model_sha256 != sha256_model(model)[0]:
        raise BadInputError(
            f"The training record beside {model} belongs to another file (its SHA-256 differs). Train again, or "
            "move the record away and say with --classes and --preprocessing what the model expects."
        )
    return sidecar


def _precision(subject: Subject) -> str:
    """Number formats of the model in words."""
    weights, arithmetic = subject.network.weights, subject.network.precision
    return weights if weights == arithmetic else f"weights in {weights}, arithmetic in {arithmetic}"


def _rows(images: ImageSet, most: int) -> NDArray[np.int64]:
    """Numbers of test images from all over the set."""
    rows: NDArray[np.int64] = np.unique(np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int))
    return rows


def _some(subject: Subject, images: ImageSet, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Those test images, in [0, 1] at the size of the model's input."""
    return unit(np.concatenate([images.pixels(subject.size, subject.channels, i, i + 1) for i in rows.tolist()]))


def _check_gradient(subject: Subject) -> None:
    """Refuse a model with an operation that TensorFlow cannot differentiate."""
    image = np.zeros((1, *subject.input_shape), np.float32)
    try:
        subject.classifier.loss_gradient(image, np.eye(subject.outputs, dtype=np.float32)[:1])
    except Exception as error:  # TensorFlow raises whatever it was that failed
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise BadInputError(
            f"{subject.path} cannot be attacked: its gradient cannot be computed ({reason})."
        ) from error


def _settle(
    subject: Subject, images: ImageSet, settings: AuditSettings, sidecar: Sidecar | None, progress: Progress
) -> Preprocessing:
    """Settle the preprocessing of the subject, say how it was chosen, and what the alternatives score."""
    known, how = _known(subject, settings, sidecar)
    if known and not known.fits(subject.channels):
        raise BadInputError(f"Preprocessing {known.name} is for RGB; {subject.path} takes greyscale.")
    modes = candidates(subject.channels)
    if known and known.name not in MODES:
        modes = [known, *modes]
    rows = _rows(images, SCORED_IMAGES if known else TRIAL_IMAGES)
    pixels = _some(subject, images, rows)
    title = "Trying the alternatives to the preprocessing" if known else "Finding out the preprocessing"
    with progress.task(title, len(modes)) as advance:

        def predict(mode: Mode) -> NDArray[np.int64]:
            answer: NDArray[np.int64] = subject.predict_with(mode, pixels).argmax(axis=1)
            advance(1, mode.name)
            return answer

        trials = try_modes(predict, images.labels[rows], modes)
    if known:
        subject.mode = known
        own, best = next(trial for trial in trials if trial.mode is known), trials[0]
        if clearly_better(best, own):
            how += (
                f"; but {best.mode.name!r} classifies {best.accuracy.count} of {best.accuracy.of} images correctly and "
                f"{known.name!r} {own.accuracy.count}"
            )
            progress.say(f"Preprocessing {known.name!r} is {how}. Make sure that it is what the model expects.")
    else:
        subject.mode = choose(trials)
        how = f"found out: the best of {len(trials)} candidates on {len(rows)} of the test images"
        progress.say(
            f"Preprocessing {subject.mode.name!r} ({subject.mode.words}) was found out by trial; "
            "if that is not what the model expects, say so with --preprocessing."
        )
    return Preprocessing(
        mode=subject.mode.name,
        words=subject.mode.words,
        how_chosen=how,
        input_range=subject.mode.input_range,
        scale=list(subject.mode.scale),
        scored=[PreprocessingScore(mode=trial.mode.name, accuracy=trial.accuracy) for trial in trials],
    )


def _known(subject: Subject, settings: AuditSettings, sidecar: Sidecar | None) -> tuple[Mode | None, str]:
    """The preprocessing that need not be found out, and where it is known from."""
    if settings.preprocessing:
        return mode_of(settings.preprocessing), "given by the user"
    if sidecar:
        return mode_of(sidecar.preprocessing), "recorded when the model was trained"
    if layer := subject.network.own_preprocessing:
        return MODES["raw"], f"the model scales its input itself (layer {layer})"
    return None, ""
