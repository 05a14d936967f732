"""The model of the paper: VGG-19 without its top, and a small dense head (section III-B3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditor.errors import BadInputError
from auditor.models.backend import keras as load_keras

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.settings import TrainingSettings

#: Convolutions and filters of the five blocks (Simonyan and Zisserman 2015, configuration E).
_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))


def build(settings: TrainingSettings, classes: int, weights: Path | None) -> tuple[Any, Any]:
    """Build the model of the paper.

    Args:
        settings: image size, width, dropout, dense layers, and the name of the weights.
        classes: number of classes.
        weights: the weight file of the base, if `settings.weights` names one.

    Returns:
        The base, from images of shape `(n, size, size, 3)` to features, and the head, from features to
        softmax probabilities of shape `(n, classes)`. `join` makes one model of them.

    Raises:
        BadInputError: if the settings are impossible or the weights cannot be had.
    """
    keras = load_keras()
    base = _base(settings, weights)
    features = keras.Input(base.output.shape[1:])
    x = keras.layers.Flatten()(features)
    x = keras.layers.Dropout(settings.dropout)(x)
    for number, units in enumerate(settings.dense):
        x = keras.layers.Dense(units, activation="relu")(x)
        if number == 0:
            x = keras.layers.Dropout(settings.dropout)(x)
    head = keras.Model(features, keras.layers.Dense(classes, activation="softmax")(x), name="head")
    base.trainable = settings.train_base
    return base, head


def join(base: Any, head: Any) -> Any:
    """Make one flat Keras model of a base and its head, sharing their weights."""
    keras = load_keras()
    x = base.output
    for layer in head.layers[1:]:
        x = layer(x)
    return keras.Model(base.input, x, name="vgg19")


def _base(settings: TrainingSettings, weights: Path | None) -> Any:
    keras = load_keras()
    shape = (settings.image_size, settings.image_size, 3)
    if settings.weights == "random":
        return _random_base(shape, settings.width)
    if settings.width != 1:
        raise BadInputError("A base of another width has no pre-trained weights; use --weights random with --width.")
    source = str(weights) if weights else "imagenet"
    try:
        return keras.applications.VGG19(include_top=False, weights=source, input_shape=shape)
    except Exception as error:  # Keras raises whatever h5py or the network raises
        if weights:
            raise BadInputError(
                f"{weights} does not hold the weights of VGG-19 without its top in the layout of Keras ({error})."
            ) from error
        raise BadInputError(
            "The ImageNet weights could not be downloaded. Download them elsewhere and name the file with "
            f"--weights PATH ({error})."
        ) from error


def _random_base(shape: tuple[int, int, int], width: float) -> Any:
    """VGG-19's layers with He initialisation: from Glorot's, nineteen plain layers do not start to learn."""
    keras = load_keras()
    image = keras.Input(shape)
    x = image
    for block, (convolutions, filters) in enumerate(_BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            x = keras.layers.Conv2D(
                max(1, round(filters * width)), 3, padding="same", activation="relu",
                kernel_initializer="he_normal", name=f"block{block}_conv{number}",
            )(x)  # fmt: skip
        x = keras.layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return keras.Model(image, x)
