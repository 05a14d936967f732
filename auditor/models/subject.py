"""The subject of an audit: a loaded model that can be asked and attacked."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path  # noqa: TC003 - the annotations of a dataclass are read at run time
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from auditor.errors import BadInputError
from auditor.models.backend import keras as load_keras
from auditor.models.preprocessing import MODES, Mode

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from auditor.models.estimator import LogitsClassifier, Loss

Head: TypeAlias = Literal["softmax", "logits"]

#: Endings of the model files that can be loaded, and the name of their format.
FORMATS = {".h5": "Keras HDF5", ".hdf5": "Keras HDF5", ".keras": "Keras archive"}

_OWN_PREPROCESSING = ("Rescaling", "Normalization")


@dataclass
class Subject:
    """A model, its head and what it expects.

    Attributes:
        path: where the model lies.
        model: the Keras model, changed so that it answers with logits.
        head: what its last step was.
        input_shape: height, width and channels of its input.
        outputs: number of classes it distinguishes.
        mode: the preprocessing in force.
    """

    path: Path
    model: Any
    head: Head
    input_shape: tuple[int, int, int]
    outputs: int
    mode: Mode = field(default_factory=lambda: MODES["unit"])
    _estimators: dict[tuple[str, Loss, bool], LogitsClassifier] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.input_shape[:2]

    @property
    def channels(self) -> int:
        """Channels of the input."""
        return self.input_shape[2]

    @property
    def own_preprocessing(self) -> str | None:
        """Name of the first layer that scales its input inside the model, if there is one."""
        for layer in self.model.layers:
            if type(layer).__name__ in _OWN_PREPROCESSING:
                return str(layer.name)
        return None

    @property
    def precision(self) -> str:
        """Number formats the layers compute in."""
        return precision_of(self.model)

    @property
    def architecture(self) -> str:
        """The layers, counted by kind, in the order of their first use."""
        kinds = Counter(type(layer).__name__ for layer in self.model.layers if type(layer).__name__ != "InputLayer")
        return ", ".join(f"{count} {kind}" for kind, count in kinds.items())

    @property
    def activations(self) -> int:
        """Values that the layers put out for one image."""
        total = 0
        for layer in self.model._flatten_layers(include_self=False):
            for node in layer._inbound_nodes:
                total += sum(math.prod(size for size in tensor.shape[1:] if size) for tensor in node.output_tensors)
        return total

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
            mode, model = self.mode, self._coarse_model if coarse else self.model
            self._estimators[key] = LogitsClassifier(
                lambda x: model(mode.apply(x), training=False), self.outputs, self.input_shape, loss, coarse
            )
        return self._estimators[key]

    def forget(self) -> None:
        """Drop what the estimators keep from one batch to speed up the work on it."""
        for estimator in self._estimators.values():
            estimator.forget()

    @cached_property
    def _coarse_model(self) -> Any:
        """The model computing in bfloat16; its weights stay float32."""
        keras = load_keras()

        def coarse(layer: Any) -> Any:
            # Operations that are no layers compute in the type of what they are given.
            given = layer.get_config()
            return type(layer).from_config(given | ({"dtype": "mixed_bfloat16"} if "dtype" in given else {}))

        model = keras.models.clone_model(self.model, clone_function=coarse, recursive=True)
        model.set_weights(self.model.get_weights())
        for layer in model._flatten_layers():
            # A Normalization computes with what it made of its weights, not with the weights.
            if hasattr(layer, "finalize_state"):
                layer.finalize_state()
        return model

    def predict_with(self, mode: Mode, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits of shape `(n, C)` of images in [0, 1] under a preprocessing other than the one in force."""
        inputs = np.asarray(mode.apply(images), dtype=np.float32)
        answer: NDArray[np.float32] = self.model.predict(inputs, batch_size=16, verbose=0)
        return answer


def precision_of(model: Any) -> str:
    """Number formats that the layers of a Keras model compute in, for example `float32`."""
    return ", ".join(sorted({str(layer.compute_dtype) for layer in model.layers}))


def load(path: Path) -> Subject:
    """Load a Keras model that classifies one image.

    Raises:
        BadInputError: if the file is missing, is no model, or is a kind of model that cannot be audited.
    """
    if not path.exists():
        raise BadInputError(f"The model file {path} does not exist.")
    if path.suffix not in FORMATS:
        raise BadInputError(f"{path} is not named like a Keras model; its name must end in {', '.join(FORMATS)}.")
    keras = load_keras()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises whatever the file makes it
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BadInputError(f"{path} cannot be loaded as a Keras model: {reason}") from error
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise BadInputError(
            f"{path} has {len(model.inputs)} inputs and {len(model.outputs)} outputs; one of each is needed."
        )
    shape, output = model.inputs[0].shape, model.outputs[0].shape
    if len(shape) != 4 or None in shape[1:] or shape[3] not in (1, 3):
        raise BadInputError(
            f"{path} takes input of shape {tuple(shape)}; an image of fixed size with 1 or 3 channels last is needed."
        )
    if len(output) != 2 or output[1] is None or output[1] < 2:
        raise BadInputError(f"{path} answers with shape {tuple(output)}; one value per class, at least two, is needed.")
    logits, head = _to_logits(path, model)
    return Subject(path, logits, head, tuple(shape[1:]), int(output[1]))


def _to_logits(path: Path, model: Any) -> tuple[Any, Head]:
    """Return the model up to its logits: the gradient through a saturated softmax is zero."""
    keras = load_keras()
    last = model.layers[-1]
    while isinstance(last, keras.Model):
        last = last.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        if last is not model.layers[-1]:
            raise BadInputError(
                f"{path} ends in a nested Softmax layer; save it flat, or with softmax as an activation."
            )
        return keras.Model(model.inputs, last.input), "softmax"
    activation = getattr(last, "activation", keras.activations.linear)
    if activation is keras.activations.softmax:
        last.activation = keras.activations.linear
        return model, "softmax"
    if activation is keras.activations.linear:
        return model, "logits"
    name = getattr(activation, "__name__", str(activation))
    raise BadInputError(f"{path} ends in the activation {name!r}; only softmax and logits can be audited.")
