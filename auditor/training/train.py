"""Training as in Part 1 of the paper: VGG-19, frozen, with a new head (section III-B).

The frozen base has no randomness and no gradient, so what it makes of an image is computed once and kept
on disk: for a held-out image once, for a training image once per rotated copy. The paper's epochs each
rotate every image anew; here an image has a few rotated copies and the epochs go through them in turn.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.ndimage import rotate

from auditor.data.pixels import RESIZE, unit
from auditor.environment import describe, now
from auditor.errors import BadInputError
from auditor.files import make_folder, replacing, sha256_file, write_text
from auditor.metrics.classification import performance
from auditor.models import vgg19
from auditor.models.backend import keras as load_keras
from auditor.models.network import precision_of
from auditor.models.preprocessing import MODES
from auditor.progress import Progress, Silent
from auditor.record import CleanResult, Skipped
from auditor.sidecar import Epoch, Sidecar, Split, SplitImage, sidecar_path

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from auditor.data.imageset import ImageSet
    from auditor.progress import Advance
    from auditor.settings import TrainingSettings

#: Cost of training the head on an image's features, as a share of one pass of the image through the base.
_HEAD_COST = 0.02
#: Cost of a training step through the base, in passes: forward, and twice that backward.
_STEP_COST = 3.0


@dataclass
class _Features:
    """Answers of the base to images, in a file, each computed when first asked for."""

    values: NDArray[np.float32]
    known: NDArray[np.bool_]

    @classmethod
    def empty(cls, folder: Path, name: str, count: int, shape: tuple[int, ...]) -> Self:
        """Make room for `count` answers of `shape`; the file takes up space only as it fills."""
        values = np.lib.format.open_memmap(folder / f"{name}.npy", mode="w+", dtype=np.float32, shape=(count, *shape))
        return cls(values, np.zeros(count, dtype=bool))


class _Trainee:
    """A model in training: batches in, measurements out; hides whether the base is frozen."""

    def __init__(self, settings: TrainingSettings, classes: int, weights: Path | None) -> None:
        import tensorflow as tf

        keras = load_keras()
        self._settings = settings
        self._classes = classes
        self._mode = MODES[settings.preprocessing]
        self.base, head = vgg19.build(settings, classes, weights)
        self.full = vgg19.join(self.base, head)
        # What gradient descent runs on. Not `full` itself: a compiled model is saved with its optimiser, three
        # times as large.
        self.trained = vgg19.join(self.base, head) if settings.train_base else head
        self.trained.compile(
            optimizer=keras.optimizers.Adam(settings.learning_rate),
            loss="categorical_crossentropy",
            metrics=["accuracy"],
        )
        spec = tf.TensorSpec((None, settings.image_size, settings.image_size, 3), tf.float32)
        self._forward = tf.function(lambda x: self.base(x, training=False), input_signature=[spec])

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of the base's answer to one image."""
        return tuple(self.base.output.shape[1:])

    def inputs(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Bring pixels of 0 to 255 to what the model expects."""
        result: NDArray[np.float32] = np.asarray(self._mode.apply(unit(pixels)), dtype=np.float32)
        return result

    def features(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer of the frozen base."""
        result: NDArray[np.float32] = self._forward(inputs).numpy()
        return result

    def one_hot(self, labels: NDArray[np.int64]) -> NDArray[np.float32]:
        """Labels as rows of zeros and a one."""
        return np.eye(self._classes, dtype=np.float32)[labels]


def train(
    train_set: ImageSet,
    test_set: ImageSet,
    output: Path,
    settings: TrainingSettings,
    *,
    weights: Path | None = None,
    progress: Progress | None = None,
) -> Sidecar:
    """Train the paper's model and write it, with its sidecar beside it.

    An interruption (Ctrl-C) after the first epoch keeps the weights of lowest loss on the held-out images;
    the sidecar then has `status` `interrupted`.

    Args:
        train_set: images to learn from.
        test_set: held-out images; their loss and accuracy are measured after each epoch.
        output: the model file; its ending chooses the format.
        settings: how to train.
        weights: the weight file of the base, if `settings.weights` names one.
        progress: told of the work.

    Raises:
        BadInputError: if a setting is impossible, or the output cannot be written.
        KeyboardInterrupt: if it is interrupted within the first epoch; nothing is written.
    """
    if output.suffix not in {".h5", ".keras"}:
        raise BadInputError(f"The model's name {output} must end in .h5 or .keras; the ending chooses the format.")
    make_folder(output.parent)
    listener = progress or Silent()
    started, clock = now(), time.perf_counter()
    keras = load_keras()
    keras.utils.set_random_seed(settings.seed)
    trainee = _Trainee(settings, len(train_set.classes), weights)
    history: list[Epoch] = []
    best: tuple[int, list[Any]] | None = None
    status, kept = "finished", settings.epochs
    with tempfile.TemporaryDirectory(prefix=".medaudit-", dir=output.parent) as scratch:
        batches = _Batches(trainee, train_set, test_set, settings, Path(scratch))
        try:
            with listener.task("Training", batches.cost()) as advance:
                for number in range(1, settings.epochs + 1):
                    epoch = _epoch(trainee, batches, number, advance, settings.epochs)
                    history.append(epoch)
                    if best is None or epoch.val_loss < history[best[0] - 1].val_loss:
                        best = (number, trainee.trained.get_weights())
        except KeyboardInterrupt:
            if best is None:
                raise
            status, kept = "interrupted", best[0]
            trainee.trained.set_weights(best[1])
        logits = _test_logits(trainee, batches)
        labels = test_set.labels
        classes = list(train_set.classes)
        test = CleanResult(**dict(performance(labels, logits, classes)))
    with replacing(output) as temporary:
        trainee.full.save(temporary)
    sidecar = Sidecar(
        status=status,
        kept_epoch=kept,
        started=started,
        finished=now(),
        model_name=output.name,
        model_sha256=sha256_file(output),
        parameters=int(trainee.full.count_params()),
        trainable_parameters=int(sum(np.prod(w.shape) for w in trainee.trained.trainable_weights)),
        classes=classes,
        preprocessing=settings.preprocessing,
        resize=RESIZE,
        settings=settings,
        split=Split(train=_split_images(train_set), test=_split_images(test_set)),
        skipped=[Skipped(path=file.id, reason=file.reason) for file in train_set.skipped],
        history=history,
        test=test,
        environment=describe(precision_of(trainee.full)),
        seconds=time.perf_counter() - clock,
    )
    write_text(sidecar_path(output), sidecar.model_dump_json(indent=1))
    return sidecar


class _Batches:
    """What the trained part of the model is shown, in batches: features where the base is frozen, else images."""

    def __init__(
        self,
        trainee: _Trainee,
        train_set: ImageSet,
        test_set: ImageSet,
        settings: TrainingSettings,
        scratch: Path,
    ) -> None:
        self._trainee, self._train, self._test, self._settings = trainee, train_set, test_set, settings
        self._size = (settings.image_size, settings.image_size)
        self._frozen = not settings.train_base
        # A base in training answers anew each time, so it may as well see a new rotation each time.
        self._copies = min(settings.rotated_copies if self._frozen else settings.epochs, settings.epochs)
        self._kept: dict[int, _Features] = {}
        self._kept_test: _Features | None = None
        if self._frozen:
            shape = trainee.feature_shape
            self._kept = {
                copy: _Features.empty(scratch, f"copy{copy}", len(train_set), shape) for copy in range(self._copies)
            }
            self._kept_test = _Features.empty(scratch, "test", len(test_set), shape)

    def cost(self) -> float:
        """Cost of the whole training, in passes of one image through the base."""
        epochs, train, test = self._settings.epochs, len(self._train), len(self._test)
        if self._frozen:
            return self._copies * train + test + epochs * (train + test) * _HEAD_COST
        return epochs * (train * _STEP_COST + test)

    def training(self, epoch: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], float]]:
        """Yield the training batches of an epoch (from 1) in random order: inputs, targets, cost."""
        order = np.random.default_rng([self._settings.seed, epoch]).permutation(len(self._train))
        copy = (epoch - 1) % self._copies
        for start in range(0, len(order), self._settings.batch_size):
            # Sorted within the batch: a step does not depend on the order, reading does.
            rows = np.sort(order[start : start + self._settings.batch_size])
            yield self._batch(self._train, rows, self._kept.get(copy), copy)

    def testing(self) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], float]]:
        """Yield the held-out batches in order: inputs, targets, cost."""
        for start in range(0, len(self._test), self._settings.batch_size):
            rows = np.arange(start, min(start + self._settings.batch_size, len(self._test)))
            yield self._batch(self._test, rows, self._kept_test, None)

    def _batch(
        self, images: ImageSet, rows: NDArray[np.int64], kept: _Features | None, copy: int | None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
        """Read a batch; `copy` is the number of the rotated copy, None for the images as they are."""
        targets = self._trainee.one_hot(images.labels[rows])
        if kept is None:
            return self._read(images, rows, copy), targets, (1.0 if copy is None else _STEP_COST) * len(rows)
        cost = _HEAD_COST * len(rows)
        fresh = rows[~kept.known[rows]]
        if len(fresh):
            kept.values[fresh] = self._trainee.features(self._read(images, fresh, copy))
            kept.known[fresh] = True
            cost += len(fresh)
        return np.asarray(kept.values[rows]), targets, cost

    def _read(self, images: ImageSet, rows: NDArray[np.int64], copy: int | None) -> NDArray[np.float32]:
        pixels = np.concatenate([images.pixels(self._size, 3, row, row + 1) for row in rows.tolist()])
        if copy is not None and self._settings.rotation:
            for row, image in zip(rows.tolist(), pixels, strict=True):
                generator = np.random.default_rng([self._settings.seed, copy, row])
                angle = generator.uniform(-self._settings.rotation, self._settings.rotation)
                # The edge is repeated into the corners, as the paper's Keras does by default.
                image[...] = rotate(image, angle, reshape=False, order=1, mode="nearest")
        return self._trainee.inputs(pixels)


@dataclass
class _Mean:
    """Mean loss and accuracy over the images seen so far."""

    images: int = 0
    loss: float = 0.0
    accuracy: float = 0.0

    def add(self, measured: dict[str, Any], images: int) -> None:
        """Add the means of a batch of `images`."""
        self.images += images
        share = images / self.images
        self.loss += (float(measured["loss"]) - self.loss) * share
        self.accuracy += (float(measured["accuracy"]) - self.accuracy) * share


def _epoch(trainee: _Trainee, batches: _Batches, number: int, advance: Advance, epochs: int) -> Epoch:
    """Train one epoch and measure the held-out images."""
    model = trainee.trained
    means = []
    for words, step, part in (
        ("loss", model.train_on_batch, batches.training(number)),
        ("held-out loss", model.test_on_batch, batches.testing()),
    ):
        mean = _Mean()
        for inputs, targets, cost in part:
            model.reset_metrics()
            mean.add(step(inputs, targets, return_dict=True), len(inputs))
            advance(cost, f"epoch {number}/{epochs}, {words} {mean.loss:.3f}, accuracy {mean.accuracy:.1%}")
        means.append(mean)
    train, held_out = means
    return Epoch(
        epoch=number,
        loss=train.loss,
        accuracy=train.accuracy,
        val_loss=held_out.loss,
        val_accuracy=held_out.accuracy,
    )


def _test_logits(trainee: _Trainee, batches: _Batches) -> NDArray[np.float32]:
    """Log-probabilities of the held-out images: logits up to a constant by image."""
    tiny = np.finfo(np.float32).tiny
    return np.concatenate(
        [np.log(np.maximum(trainee.trained.predict_on_batch(inputs), tiny)) for inputs, _, _ in batches.testing()]
    )


def _split_images(images: ImageSet) -> list[SplitImage]:
    return [SplitImage(id=image.id, sha256=image.sha256) for image in images.images]
