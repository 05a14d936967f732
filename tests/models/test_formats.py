"""Every format and every head, each a row of the table in docs/models.md."""

from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from auditor.errors import BadInputError
from auditor.models.subject import load

DOCS = Path(__file__).parents[2] / "docs" / "models.md"

IMAGES = np.random.default_rng(0).random((6, 12, 12, 3), dtype=np.float32)


def network(*last, shape=(12, 12, 3), library=keras, first=(), **more):
    layers = library.layers
    grey = {"data_format": "channels_first"} if shape[0] in (1, 3) else {}
    return library.Sequential(
        [library.Input(shape, **more), *first, layers.Conv2D(4, 3, activation="relu", **grey), layers.Flatten(), *last]
    )


def dense(count, activation=None, library=keras, **more):
    return library.layers.Dense(count, activation=activation, **more)


def functional(build):
    image = keras.Input((12, 12, 3))
    flat = keras.layers.Flatten()(keras.layers.Conv2D(4, 3, activation="relu")(image))
    return keras.Model(image, build(flat))


def nested(inner):
    return keras.Sequential([keras.Input((12, 12, 3)), inner])


def two_inputs():
    left, right = keras.Input((12, 12, 3), name="left"), keras.Input((12, 12, 3), name="right")
    merged = keras.layers.Flatten()(keras.layers.Add()([left, right]))
    return keras.Model([left, right], keras.layers.Dense(2)(merged))


def two_outputs():
    return functional(
        lambda flat: [keras.layers.Dense(2, name="grade")(flat), keras.layers.Dense(2, name="site")(flat)]
    )


def normalised():
    layer = keras.layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.04, 0.05, 0.06])
    return network(dense(3), first=[nested_layer(layer)])


def nested_layer(layer):
    return keras.Sequential([keras.Input((12, 12, 3)), layer])


def ensemble(flat):
    return keras.layers.Average()([dense(3, "softmax")(flat) for _ in range(2)])


def saturated(flat):
    sharp = keras.layers.Rescaling(1e4)(dense(3)(flat))
    return keras.layers.Average()([keras.layers.Softmax()(sharp), keras.layers.Softmax()(sharp)])


def whole_numbers():
    image = keras.Input((12, 12, 3), dtype="uint8")
    return keras.Model(image, dense(2)(keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(image))))


def spatial():
    image = keras.Input((12, 12, 3))
    scores = keras.layers.GlobalAveragePooling2D(keepdims=True)(keras.layers.Conv2D(3, 3)(image))
    return keras.Model(image, keras.layers.Flatten()(keras.layers.Softmax()(scores)))


def keras2(*last, **more):
    import tf_keras

    return network(*(last or (dense(3, "softmax", tf_keras),)), library=tf_keras, **more)


def keras2_grouped():
    # What Keras 3 refuses: Keras 2 wrote the groups of a depthwise convolution down.
    import tf_keras

    return keras2(
        dense(3, "softmax", tf_keras), first=[tf_keras.layers.DepthwiseConv2D(3), tf_keras.layers.Conv2D(4, 1)]
    )


def keras2_sigmoid():
    import tf_keras

    return keras2(dense(1, "sigmoid", tf_keras))


def keras2_arithmetic():
    import tf_keras

    image = tf_keras.Input((12, 12, 3))
    scaled = tf.math.subtract(tf.math.multiply(image, 2.0), 1.0)
    return tf_keras.Model(image, dense(3, "softmax", tf_keras)(tf_keras.layers.Flatten()(scaled)))


def to_file(suffix):
    def save(model, folder):
        model.save(folder / f"model{suffix}")
        return folder / f"model{suffix}"

    return save


def to_folder(model, folder):
    model.export(folder / "model", verbose=False)
    return folder / "model"


def to_keras2_folder(model, folder):
    # After some training there are metrics in it, which are classes of their own.
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    model.fit(IMAGES, np.eye(3)[[0, 1, 2, 0, 1, 2]], verbose=0)
    model.save(folder / "model")
    return folder / "model"


def without_architecture(model, folder):
    path = folder / "model.h5"
    model.save(path)
    with h5py.File(path, "r+") as file:
        del file.attrs["model_config"]
        for name in list(file["model_weights"]):
            file.move(f"model_weights/{name}", name)
        file.attrs["layer_names"] = file["model_weights"].attrs["layer_names"]
        del file["model_weights"]
    return path


def weights_alone(model, folder):
    model.save_weights(folder / "model.weights.h5")
    return folder / "model.weights.h5"


def damaged(model, folder):
    path = to_file(".keras")(model, folder)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return path


H5, ARCHIVE = to_file(".h5"), to_file(".keras")

#: Model in words, what happens in words, the model, how it is saved, the head given, and the head found or the error.
ROWS = [
    (
        "Keras 3 `.h5`, softmax",
        "audited on the logits before the softmax",
        lambda: network(dense(3, "softmax")),
        H5,
        None,
        "softmax",
    ),
    (
        "Keras 3 `.keras`, softmax",
        "audited on the logits before the softmax",
        lambda: network(dense(3, "softmax")),
        ARCHIVE,
        None,
        "softmax",
    ),
    (
        "SavedModel of Keras 3 (`model.export`), softmax",
        "audited on the logits before the softmax",
        lambda: network(dense(3, "softmax")),
        to_folder,
        None,
        "softmax",
    ),
    ("Keras 2 `.h5`, softmax", "loaded by Keras 3; the same", keras2, H5, None, "softmax"),
    (
        "Keras 2 `.h5` that Keras 3 refuses (`DepthwiseConv2D`)",
        "loaded by Keras 2 (`medaudit[legacy]`); the same",
        keras2_grouped,
        H5,
        None,
        "softmax",
    ),
    (
        "Keras 2 `.keras`, sigmoid",
        "loaded by whichever of the two can; the same as below",
        keras2_sigmoid,
        ARCHIVE,
        None,
        "sigmoid",
    ),
    (
        "SavedModel of Keras 2 (`model.save`), softmax",
        "audited on the logits before the softmax",
        keras2,
        to_keras2_folder,
        None,
        "softmax",
    ),
    (
        "Keras 2, TensorFlow arithmetic as layers",
        "loaded by Keras 2; harmless functions only",
        keras2_arithmetic,
        H5,
        None,
        "softmax",
    ),
    (
        "softmax as a layer",
        "audited on the logits before the softmax",
        lambda: network(dense(3), keras.layers.Softmax()),
        H5,
        None,
        "softmax",
    ),
    (
        "softmax as an activation layer, in float32 after float16",
        "audited on the logits before the softmax",
        lambda: network(dense(3), keras.layers.Activation("softmax", dtype="float32")),
        ARCHIVE,
        None,
        "softmax",
    ),
    (
        "softmax in a nested model",
        "audited on the logits before the softmax",
        lambda: nested(network(dense(3, "softmax"))),
        H5,
        None,
        "softmax",
    ),
    (
        "softmax layer in a nested model of a nested model",
        "audited on the logits before the softmax",
        lambda: nested(nested(network(dense(3), keras.layers.Softmax()))),
        ARCHIVE,
        None,
        "softmax",
    ),
    ("softmax before a change of shape", "audited on the logits before the softmax", spatial, ARCHIVE, None, "softmax"),
    (
        "softmax by an operation (`keras.ops.softmax`)",
        "audited on the logits before the softmax",
        lambda: functional(lambda flat: keras.ops.softmax(dense(3)(flat))),
        ARCHIVE,
        None,
        "softmax",
    ),
    (
        "mean of several softmax",
        "audited on the logarithm of the probabilities",
        lambda: functional(ensemble),
        ARCHIVE,
        None,
        "softmax",
    ),
    (
        "mean of several saturated softmax",
        "error: the logits are lost",
        lambda: functional(saturated),
        ARCHIVE,
        None,
        "logits behind them are lost",
    ),
    ("logits", "audited on the logits", lambda: network(dense(3)), H5, None, "logits"),
    ("SavedModel, logits", "audited on the logits", lambda: network(dense(3)), to_folder, None, "logits"),
    ("one sigmoid", "audited as two logits, 0 and z", lambda: network(dense(1, "sigmoid")), H5, None, "sigmoid"),
    (
        "SavedModel, one sigmoid",
        "audited as two logits, 0 and z",
        lambda: network(dense(1, "sigmoid")),
        to_folder,
        None,
        "sigmoid",
    ),
    (
        "one logit",
        "audited as two logits, 0 and z",
        lambda: network(dense(1, bias_initializer=keras.initializers.Constant(-9.0))),
        ARCHIVE,
        None,
        "logits",
    ),
    (
        "one value from 0 to 1 without a sigmoid",
        "error that asks for `--head`",
        lambda: network(dense(1, "hard_sigmoid")),
        ARCHIVE,
        None,
        "no sigmoid ends its graph",
    ),
    (
        "one softmax value",
        "error: it is 1 for every image",
        lambda: network(dense(1, "softmax")),
        ARCHIVE,
        None,
        "1 for every image",
    ),
    (
        "several sigmoids",
        "error: multi-label is not single-label classification",
        lambda: network(dense(3, "sigmoid")),
        H5,
        None,
        "multi-label",
    ),
    (
        "SavedModel, several sigmoids",
        "error: multi-label is not single-label classification",
        lambda: network(dense(3, "sigmoid")),
        to_folder,
        None,
        "multi-label",
    ),
    (
        "several sigmoids, `--head sigmoid`",
        "audited on the logits before the sigmoids",
        lambda: network(dense(3, "sigmoid")),
        ARCHIVE,
        "sigmoid",
        "sigmoid",
    ),
    (
        "softmax, `--head logits`",
        "audited on the probabilities as they are",
        lambda: network(dense(3, "softmax")),
        ARCHIVE,
        "logits",
        "logits",
    ),
    (
        "logits, `--head softmax`",
        "error: they are no probabilities",
        lambda: network(dense(3)),
        ARCHIVE,
        "softmax",
        "does not answer with what a softmax",
    ),
    (
        "softmax, `--head sigmoid`",
        "error: it cannot be",
        lambda: network(dense(3, "softmax")),
        ARCHIVE,
        "sigmoid",
        "cannot be",
    ),
    (
        "another activation (tanh)",
        "error that names it",
        lambda: network(dense(3, "tanh")),
        H5,
        None,
        "activation 'tanh'",
    ),
    ("greyscale, 1 channel", "audited", lambda: network(dense(3), shape=(12, 12, 1)), H5, None, "logits"),
    (
        "channels first",
        "audited; images are turned round for it",
        lambda: network(dense(3, "softmax"), shape=(3, 12, 12)),
        H5,
        None,
        "softmax",
    ),
    (
        "channels first, loaded by Keras 2",
        "audited; images are turned round for it",
        lambda: keras2(shape=(3, 12, 12)),
        H5,
        None,
        "softmax",
    ),
    ("not square", "audited", lambda: network(dense(3), shape=(12, 20, 3)), ARCHIVE, None, "logits"),
    (
        "own Rescaling",
        "audited; it gets values from 0 to 255",
        lambda: network(dense(3), first=[keras.layers.Rescaling(1 / 255)]),
        H5,
        None,
        "logits",
    ),
    (
        "own Normalization in a nested model",
        "audited; it gets values from 0 to 255",
        normalised,
        ARCHIVE,
        None,
        "logits",
    ),
    ("float16", "audited; the report names the formats", lambda: in_format("float16"), ARCHIVE, None, "softmax"),
    ("bfloat16", "audited; the report names the formats", lambda: in_format("bfloat16"), ARCHIVE, None, "softmax"),
    ("float64", "audited; the report names the formats", lambda: in_format("float64"), ARCHIVE, None, "softmax"),
    (
        "mixed float16, float32 weights",
        "audited; the report names the formats",
        lambda: in_format("mixed_float16"),
        ARCHIVE,
        None,
        "softmax",
    ),
    (
        "whole numbers as input (uint8)",
        "error: there is no gradient through them",
        whole_numbers,
        ARCHIVE,
        None,
        "whole numbers",
    ),
    ("several inputs", "error that names them", two_inputs, ARCHIVE, None, "2 inputs: left, right"),
    ("several outputs", "error that names them", two_outputs, ARCHIVE, None, "2 outputs: grade, site"),
    ("SavedModel, several inputs", "error that names them", two_inputs, to_folder, None, "2 inputs: "),
    ("4 channels", "error", lambda: network(dense(2), shape=(9, 9, 4)), ARCHIVE, None, "1 or 3 channels"),
    (
        "no image",
        "error",
        lambda: keras.Sequential([keras.Input((10,)), dense(2)]),
        ARCHIVE,
        None,
        "an image of fixed size",
    ),
    (
        "any image size",
        "error: a fixed size is needed",
        lambda: keras.Sequential([keras.Input((None, None, 3)), keras.layers.GlobalAveragePooling2D(), dense(2)]),
        ARCHIVE,
        None,
        "fixed size",
    ),
    (
        "weights only (`model.save_weights`)",
        "error that says so",
        lambda: network(dense(3)),
        weights_alone,
        None,
        "weights only",
    ),
    (
        "weights only, Keras 2's layout",
        "error that says so",
        lambda: network(dense(3)),
        without_architecture,
        None,
        "weights only",
    ),
    ("half a file", "error: damaged", lambda: network(dense(3)), damaged, None, "damaged"),
]


def in_format(policy):
    policy = keras.DTypePolicy(policy)
    return keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", dtype=policy),
            keras.layers.Flatten(dtype=policy),
            keras.layers.Dense(3, activation="softmax", dtype=policy),
        ]
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_format_and_head(row, tmp_path):
    if "Keras 2" in row[0]:
        pytest.importorskip("tf_keras")
    _, words, build, save, given, expected = row
    model = build()
    path = save(model, tmp_path)
    if words.startswith("error"):
        with pytest.raises(BadInputError, match=expected):
            load(path, given).confirm_head(IMAGES)
        return
    subject = load(path, given)
    if "loaded by Keras" in words:
        assert subject.network.loader.startswith("tf_keras" if "by Keras 2" in words else "Keras 3")
    images = np.random.default_rng(1).random((6, *subject.input_shape), dtype=np.float32)
    subject.confirm_head(images)
    assert subject.head.kind == expected
    turned = images.transpose(0, 3, 1, 2) if subject.network.channels_first else images
    answers = np.asarray(model.predict(turned, verbose=0), np.float64)
    logits = subject.classifier.logits(images, 4).astype(np.float64)
    if subject.head.answers == 1:
        assert (logits[:, 0] == 0).all()
        logits = logits[:, 1:]
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    made = {
        "softmax": shifted / shifted.sum(axis=1, keepdims=True),
        "sigmoid": 1 / (1 + np.exp(-logits)),
        "logits": logits,
    }[expected]
    loose = any(kind in subject.precision for kind in ("float16", "bfloat16"))
    assert np.allclose(made, answers, atol=2e-2 if loose else 1e-5)
    if expected != "logits":
        assert not np.allclose(logits, answers, atol=1e-2)
    targets = np.eye(subject.outputs, dtype=np.float32)[np.zeros(6, int)]
    assert (np.abs(subject.classifier.loss_gradient(images, targets)).max(axis=(1, 2, 3)) > 0).all()
    assert subject.network.parameters == model.count_params()


def test_the_documentation_has_the_same_table():
    table = [f"| {row[0]} | {row[1]} |" for row in ROWS]
    assert [line for line in DOCS.read_text().splitlines() if line.startswith("| ")][1 : len(table) + 1] == table


def test_number_formats_are_told(tmp_path):
    for policy, weights, arithmetic in (
        ("float16", "float16", "float16"),
        ("bfloat16", "bfloat16", "bfloat16"),
        ("float64", "float64", "float64"),
        ("mixed_float16", "float32", "float16"),
    ):
        in_format(policy).save(tmp_path / f"{policy}.keras")
        network = load(tmp_path / f"{policy}.keras").network
        assert (network.weights, network.precision) == (weights, arithmetic)
