"""The subject of an audit: a loaded model that can be asked and attacked."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from pathlib import Path  # noqa: TC003 - the annotations of a dataclass are read at run time
from typing import TYPE_CHECKING, Any

import numpy as np

from auditor.errors import BadInputError
from auditor.models.backend import keras as load_keras
from auditor.models.backend import quiet_import
from auditor.models.head import find_head, settle_head
from auditor.models.inspection import Inspection, inspect
from auditor.models.network import KerasNetwork, Network
from auditor.models.preprocessing import MODES, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from auditor.models.estimator import LogitsClassifier, Loss
    from auditor.models.head import Given, Head

#: Images asked at a time where nobody says otherwise.
_BATCH = 16

#: Findings that an error names one by one.
_NAMED = 3


@dataclass
class Subject:
    """A model, its head and what it expects.

    Attributes:
        path: where the model lies.
        network: the model as it was loaded.
        head: what its last step was.
        inspection: what was found in the file before it was loaded.
        mode: the preprocessing in force.
    """

    path: Path
    network: Network
    head: Head
    inspection: Inspection
    mode: Mode = field(default_factory=lambda: MODES["unit"])
    _estimators: dict[tuple[str, Loss, bool], LogitsClassifier] = field(default_factory=dict)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of the input."""
        return self.network.input_shape

    @property
    def outputs(self) -> int:
        """Number of classes it distinguishes."""
        return self.head.classes

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.input_shape[:2]

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self.input_shape[2]

    @property
    def precision(self) -> str:
        """Number formats the model computes in."""
        return self.network.precision

    @property
    def activations(self) -> int:
        """Values that the parts of the model put out for one image."""
        return self.network.activations

    @property
    def classifier(self) -> LogitsClassifier:
        """The ART estimator in the model's own precision, whose answers are the figures of an audit."""
        return self.estimator()

    def estimator(self, loss: Loss = "cross-entropy", *, coarse: bool = False) -> LogitsClassifier:
        """Return the ART estimator over the logits, taking images in [0, 1]; it is made once.

        Args:
            loss: what its gradients are of.
            coarse: compute in bfloat16, for crafting; its answers are no figures of an audit.
        """
        from auditor.models.estimator import LogitsClassifier

        key = (self.mode.name, loss, coarse)
        if key not in self._estimators:
            mode, head, ask = self.mode, self.head, self.network.coarse() if coarse else self.network
            self._estimators[key] = LogitsClassifier(
                lambda x: head.logits(ask(mode.apply(x))), self.outputs, self.input_shape, loss, coarse
            )
        return self._estimators[key]

    def forget(self) -> None:
        """Drop what the estimators keep from one batch to speed up the work on it."""
        for estimator in self._estimators.values():
            estimator.forget()

    def predict_with(self, mode: Mode, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of shape `(n, C)` of images in [0, 1] under a preprocessing other than the one in force."""
        return self._asked(mode, images)[1]

    def confirm_head(self, images: NDArray[np.float32]) -> None:
        """Confirm the head on the answers to images in [0, 1] under the preprocessing in force.

        What was taken for logits and turns out to be probabilities is taken for these from here on.

        Raises:
            BadInputError: if the answers are not what the head says they should be.
        """
        answers, logits = self._asked(self.mode, images)
        head = settle_head(str(self.path), self.head, answers, self.precision)
        if head is not self.head:
            self.head = head
            self._estimators.clear()
            del self._ask
            answers, logits = self._asked(self.mode, images)
        head.confirm(str(self.path), answers, logits, self.precision)

    def _asked(self, mode: Mode, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Answers of the model itself, of shape `(n, k)`, and the logits behind them, of shape `(n, C)`."""
        inputs = np.asarray(mode.apply(images), dtype=np.float32)
        parts = [self._ask(inputs[i : i + _BATCH]) for i in range(0, len(inputs), _BATCH)]
        answers, logits = (np.concatenate([part[k].numpy() for part in parts]) for k in (0, 1))
        return answers, logits

    @cached_property
    def _ask(self) -> Callable[[Any], Any]:
        import tensorflow as tf

        @tf.function(input_signature=[tf.TensorSpec((None, *self.input_shape), tf.float32)])  # type: ignore[untyped-decorator]
        def ask(inputs: Any) -> Any:
            answer = self.network(inputs)
            return tf.cast(answer, tf.float32), self.head.logits(answer)

        asked: Callable[[Any], Any] = ask
        return asked


def load(path: Path, head: Given | None = None, allow_unsafe: Sequence[str] = ()) -> Subject:
    """Look at a model without executing it, and load it if it is safe: Keras 3 first, then Keras 2, or TensorFlow.

    Args:
        path: of the model file, or the folder of a SavedModel.
        head: how its answers are to be read; None to find it out.
        allow_unsafe: SHA-256 of the models that may be loaded although something unsafe was found in them.

    Raises:
        BadInputError: if the model is missing, unsafe, no model, or of a kind that cannot be audited.
    """
    found = inspect(path)
    allowed = found.sha256 in allow_unsafe
    if not found.safe and not allowed:
        raise BadInputError(_refusal(path, found))
    if found.format == "TensorFlow SavedModel":
        load_keras()
        from auditor.models.graph import load_graph

        network: Network = load_graph(path)
    else:
        network = _load_keras_file(path, safe_mode=found.safe)
    return Subject(path, network, find_head(str(path), network, head), found)


def _refusal(path: Path, found: Inspection) -> str:
    """Say what is unsafe, and how to go on all the same."""
    named = "; ".join(str(finding) for finding in found.findings[:_NAMED])
    more = len(found.findings) - _NAMED
    return (
        f"{path} is not safe to load and was not: {named}{f'; and {more} more' if more > 0 else ''}. If you trust "
        f"whoever made it, `medaudit inspect` says all that was found, and --allow-unsafe with its SHA-256 loads it."
    )


def _load_keras_file(path: Path, *, safe_mode: bool) -> KerasNetwork:
    """Load a Keras file with Keras 3, or with Keras 2 where that refuses it."""
    keras = load_keras()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=safe_mode)
    except Exception as error:  # noqa: BLE001 - Keras raises whatever the file makes it
        first = _reason(error)
    else:
        return KerasNetwork(str(path), f"Keras {keras.__version__}", model)
    try:
        with quiet_import():
            import tf_keras
    except ImportError as error:
        raise BadInputError(
            f"{path} cannot be loaded by Keras 3: {first}. If Keras 2 wrote it, install its loader: "
            "pip install 'medaudit[legacy]'."
        ) from error
    second = f"tf_keras {version('tf_keras')}"
    try:
        model = tf_keras.models.load_model(path, compile=False, safe_mode=safe_mode)
    except Exception as error:  # the same
        raise BadInputError(
            f"{path} cannot be loaded: Keras {keras.__version__} says: {first}; {second} says: {_reason(error)}."
        ) from error
    return KerasNetwork(str(path), second, model)


def _reason(error: Exception) -> str:
    """First line of what a library says, without its full stop."""
    lines = str(error).strip().splitlines()
    return (lines[0][:300] if lines else type(error).__name__).rstrip(". ")
