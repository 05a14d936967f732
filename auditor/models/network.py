"""A loaded model, whatever it was loaded by: from a batch of inputs to what the file itself answers."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Any

from auditor.errors import BadInputError
from auditor.models.backend import keras as load_keras

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_OWN_PREPROCESSING = ("Rescaling", "Normalization")


class Network(ABC):
    """A model with one image as its input and one row of numbers as its answer.

    Args:
        name: of the file, for errors.
        loader: what loaded it, for example `Keras 3.15.1`.
        shape: of the input, `(n, h, w, c)` or `(n, c, h, w)`; None where a size is free.
        dtype: number format of the input.
        answer: shape of the output.
        channels_first: which of the two is meant where the shape does not tell.

    Attributes:
        loader: what loaded it.
        input_shape: height, width and channels.
        answers: values of an answer.
        channels_first: whether the input has the shape `(n, c, h, w)`.

    Raises:
        BadInputError: if the model takes anything but images, or answers with anything but one row for each.
    """

    def __init__(
        self,
        name: str,
        loader: str,
        shape: Sequence[int | None],
        dtype: str,
        answer: Sequence[int | None],
        channels_first: bool = False,
    ) -> None:
        self.loader = loader
        sizes: tuple[int | None, ...] = tuple(shape)
        image: tuple[int | None, ...]
        if len(sizes) == 4 and sizes[1] in (1, 3) and (channels_first or sizes[3] not in (1, 3)):
            self.channels_first, image = True, (sizes[2], sizes[3], sizes[1])
        else:
            self.channels_first, image = False, sizes[1:]
        if len(sizes) != 4 or None in image or image[2] not in (1, 3):
            raise BadInputError(
                f"{name} takes input of shape {sizes}; an image of fixed size with 1 or 3 channels is needed."
            )
        if sizes[0] is not None:
            raise BadInputError(f"{name} takes exactly {sizes[0]} images at a time; save it with a free batch size.")
        if not dtype.startswith(("float", "bfloat")):
            raise BadInputError(
                f"{name} takes input of type {dtype}; an attack needs a gradient, and there is none through whole "
                "numbers. Save the model with an input of type float32."
            )
        if len(answer) != 2 or answer[1] is None:
            raise BadInputError(f"{name} answers with shape {tuple(answer)}; one value per class is needed.")
        height, width, channels = image
        self.input_shape = int(height or 0), int(width or 0), int(channels or 0)
        self.answers, self._dtype = int(answer[1]), dtype

    def __call__(self, inputs: Any) -> Any:
        """Answer of shape `(n, k)` to preprocessed images of shape `(n, h, w, c)`, both tensors.

        It is called while a `tf.function` is traced: the caller then finds every operation of the model in one graph.
        """
        return self._ask(self._arranged(inputs))

    def coarse(self) -> Callable[[Any], Any]:
        """The same, computed in bfloat16. Raises `NotImplementedError` where that cannot be had."""
        raise NotImplementedError(f"{self.loader} loaded it, which has no way to")

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Number of weights."""

    @property
    @abstractmethod
    def architecture(self) -> str:
        """Its parts, counted by kind, in the order of their first use."""

    @property
    @abstractmethod
    def activations(self) -> int:
        """Values that its parts put out for one image."""

    @property
    @abstractmethod
    def own_preprocessing(self) -> str | None:
        """Name of the first layer that scales the input inside the model, if there is one."""

    @property
    @abstractmethod
    def precision(self) -> str:
        """Number formats it computes in."""

    @property
    @abstractmethod
    def weights(self) -> str:
        """Number formats of its weights."""

    @abstractmethod
    def _ask(self, inputs: Any) -> Any:
        """Answer to inputs in the model's own shape and number format."""

    def _arranged(self, inputs: Any) -> Any:
        import tensorflow as tf

        if self.channels_first:
            inputs = tf.transpose(inputs, (0, 3, 1, 2))
        return tf.cast(inputs, self._dtype)


class KerasNetwork(Network):
    """A model that Keras 3 or Keras 2 loaded.

    Args:
        name: of the file, for errors.
        loader: `Keras 3.15.1` or `tf_keras 2.21.0`.
        model: the Keras model.
    """

    def __init__(self, name: str, loader: str, model: Any) -> None:
        inputs, outputs = (list(getattr(model, ends, None) or []) for ends in ("inputs", "outputs"))
        if not inputs:
            raise BadInputError(f"{name} does not say what input it takes; save it after it was built on an image.")
        # Layers say more than tensors do; a Sequential has no names of its outputs.
        named = list(getattr(model, "output_names", None) or map(_name, outputs))
        refuse_several(name, [_name(end) for end in inputs], named)
        super().__init__(
            name,
            loader,
            tuple(inputs[0].shape),
            _dtype(inputs[0]),
            tuple(outputs[0].shape),
            any(getattr(layer, "data_format", None) == "channels_first" for layer in _layers(model)),
        )
        self.model = model

    def coarse(self) -> Callable[[Any], Any]:
        """The same with layers that compute in bfloat16; their weights stay as they are."""
        model = self._coarse_model
        return lambda inputs: model(self._arranged(inputs), training=False)

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return int(self.model.count_params())

    @property
    def architecture(self) -> str:
        """The layers, counted by kind, in the order of their first use."""
        return counted(type(layer).__name__ for layer in self.model.layers if type(layer).__name__ != "InputLayer")

    @property
    def activations(self) -> int:
        """Values that the layers put out for one image."""
        total = 0
        for layer in self.model._flatten_layers(include_self=False):
            for node in layer._inbound_nodes:
                # In Keras 2 a single tensor stands by itself.
                total += sum(math.prod(size for size in end.shape[1:] if size) for end in _flat(node.output_tensors))
        return total

    @property
    def own_preprocessing(self) -> str | None:
        """Name of the first layer that scales the input inside the model or a model in it, if there is one."""
        return next(
            (str(layer.name) for layer in _layers(self.model) if type(layer).__name__ in _OWN_PREPROCESSING), None
        )

    @property
    def precision(self) -> str:
        """Number formats the layers compute in."""
        return precision_of(self.model)

    @property
    def weights(self) -> str:
        """Number formats of the weights."""
        return ", ".join(sorted({_text(weight.dtype) for weight in self.model.weights})) or "none"

    def _ask(self, inputs: Any) -> Any:
        return self.model(inputs, training=False)

    @cached_property
    def _coarse_model(self) -> Any:
        keras = load_keras()
        if not isinstance(self.model, keras.Model):
            raise NotImplementedError(f"{self.loader} loaded it, which has no way to")

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


def precision_of(model: Any) -> str:
    """Number formats that the layers of a Keras model compute in, for example `float32`."""
    return ", ".join(sorted({str(layer.compute_dtype) for layer in model.layers}))


def refuse_several(name: str, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Raise `BadInputError` unless there is one input and one output; the message names them."""
    for ends, kind in ((inputs, "inputs"), (outputs, "outputs")):
        if len(ends) != 1:
            raise BadInputError(
                f"{name} has {len(ends)} {kind}{': ' if ends else ''}{', '.join(ends)}. Models with one image as input "
                "and one answer can be audited."
            )


def counted(kinds: Any) -> str:
    """Kinds of parts with their number, in the order of their first use: `2 Conv2D, 1 Dense`."""
    return ", ".join(f"{count} {kind}" for kind, count in Counter(kinds).items())


def _layers(model: Any) -> list[Any]:
    """All layers, those of models and wrappers inside included, in the order of the model."""
    return list(model._flatten_layers(include_self=False))


def _flat(values: Any) -> list[Any]:
    return [part for value in values for part in _flat(value)] if isinstance(values, list | tuple) else [values]


def _name(end: Any) -> str:
    return str(getattr(end, "name", "unnamed")).partition(":")[0]


def _dtype(end: Any) -> str:
    return _text(end.dtype)


def _text(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))
