import sys

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from auditor.errors import BadInputError
from auditor.models.subject import load


def network(*last, shape=(12, 12, 3)):
    return keras.Sequential(
        [keras.Input(shape), keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten(), *last]
    )


def test_a_saturated_softmax_still_has_a_gradient(tmp_path):
    # The cross-entropy of these probabilities is exactly 0 in float32, and so is its gradient.
    model = network(keras.layers.Dense(2, activation="softmax"))
    images = np.random.default_rng(0).random((4, 12, 12, 3), dtype=np.float32)
    probabilities = np.asarray(model(images), np.float64)
    lead = np.abs(np.log(probabilities[:, 0] / probabilities[:, 1])).max()
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 60 / lead, bias])
    model.save(tmp_path / "model.h5")
    subject = load(tmp_path / "model.h5")
    logits = subject.classifier.logits(images, 4)
    targets = np.eye(2, dtype=np.float32)[logits.argmax(axis=1)]
    assert np.abs(logits[:, 0] - logits[:, 1]).max() == pytest.approx(60, abs=1)
    gradient = subject.classifier.loss_gradient(images, targets)
    assert (np.abs(gradient).reshape(4, -1).max(axis=1) > 0).all()


def test_own_preprocessing_is_found(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Rescaling(1 / 255, name="scale"),
            keras.layers.Flatten(),
            keras.layers.Dense(2),
        ]
    )
    model.save(tmp_path / "m.keras")
    assert load(tmp_path / "m.keras").network.own_preprocessing == "scale"


@pytest.mark.parametrize("layer", [keras.layers.Rescaling(1 / 255), keras.layers.Normalization(mean=0.5, variance=0.2)])
def test_own_preprocessing_is_found_in_nested_models(layer, tmp_path):
    layer.name = "scale"
    inner = keras.Sequential([keras.Input((8, 8, 3)), layer])
    middle = keras.Sequential([keras.Input((8, 8, 3)), inner, keras.layers.Conv2D(2, 3)])
    keras.Sequential([keras.Input((8, 8, 3)), middle, keras.layers.Flatten(), keras.layers.Dense(2)]).save(
        tmp_path / "m.keras"
    )
    assert load(tmp_path / "m.keras").network.own_preprocessing == "scale"


def test_what_neither_keras_can_load_is_one_error_with_both_reasons(tmp_path):
    pytest.importorskip("tf_keras")
    network(keras.layers.Dense(2)).save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"filters": 4', '"filters": 3')
    with pytest.raises(BadInputError, match=r"Keras 3\S+ says: .*; tf_keras 2\S+ says: .*"):
        load(tmp_path / "m.h5")


def test_without_keras_2_the_error_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf_keras", None)
    network(keras.layers.Dense(2)).save(tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["model_config"] = file.attrs["model_config"].replace('"filters": 4', '"filters": 3')
    with pytest.raises(BadInputError, match=r"by Keras 3: .*pip install 'medaudit\[legacy\]'"):
        load(tmp_path / "m.h5")


def test_a_folder_that_is_no_saved_model_is_a_plain_error(tmp_path):
    with pytest.raises(BadInputError, match=r"without saved_model.pb"):
        load(tmp_path)


def test_a_saved_model_without_a_signature_is_a_plain_error(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "m"))
    with pytest.raises(BadInputError, match="no signature 'serving_default' or 'serve'"):
        load(tmp_path / "m")


def test_a_fixed_number_of_images_is_a_plain_error(tmp_path):
    image = keras.Input(batch_shape=(2, 8, 8, 3))
    keras.Model(image, keras.layers.Dense(2)(keras.layers.Flatten()(image))).save(tmp_path / "m.keras")
    with pytest.raises(BadInputError, match="exactly 2 images"):
        load(tmp_path / "m.keras")


def test_the_head_says_how_it_was_found(tmp_path):
    def words(model, given=None):
        model.save(tmp_path / "m.keras")
        subject = load(tmp_path / "m.keras", given)
        subject.confirm_head(np.random.default_rng(0).random((4, 12, 12, 3), dtype=np.float32))
        return subject.head.words

    dense = keras.layers.Dense
    assert "found in the graph; the logits before it" in words(network(dense(3, activation="softmax")))
    assert "which ends in no activation" in words(network(dense(3)))
    assert "one sigmoid, taken for two logits" in words(network(dense(1, activation="sigmoid")))
    assert "2 sigmoids, of which the largest" in words(network(dense(2, activation="sigmoid")), "sigmoid")
    assert "as given by the user" in words(network(dense(2, activation="sigmoid")), "sigmoid")
    image = keras.Input((12, 12, 3))
    flat = keras.layers.Flatten()(image)
    mean = keras.layers.Average()([dense(2, activation="softmax")(flat) for _ in range(2)])
    assert "computed back from the probabilities" in words(keras.Model(image, mean))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.h5", b"no model", "no HDF5 file"),
        ("model.keras", b"no model", "no HDF5 file"),
        ("model.keras", b"PK\x05\x06" + bytes(18), "holds no config.json"),
        ("model.h5", b"", "no HDF5 file"),
        ("model.pb", b"no model", "not named like a Keras model"),
        ("missing.h5", None, "does not exist"),
    ],
)
def test_what_is_no_model_is_a_plain_error(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInputError, match=message):
        load(tmp_path / name)
