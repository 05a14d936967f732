import keras
import numpy as np
import pytest

from auditor.errors import BadInputError
from auditor.models.subject import load


def network(*last, shape=(12, 12, 3)):
    return keras.Sequential(
        [keras.Input(shape), keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten(), *last]
    )


HEADS = {
    "softmax": lambda: network(keras.layers.Dense(3, activation="softmax")),
    "softmax layer": lambda: network(keras.layers.Dense(3), keras.layers.Softmax()),
    "softmax activation": lambda: network(keras.layers.Dense(3), keras.layers.Activation("softmax")),
    "nested": lambda: keras.Sequential(
        [keras.Input((12, 12, 3)), network(keras.layers.Dense(3, activation="softmax"))]
    ),
    "logits": lambda: network(keras.layers.Dense(3)),
}


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("head", HEADS)
def test_heads_become_logits(head, suffix, tmp_path):
    model = HEADS[head]()
    path = tmp_path / f"model{suffix}"
    model.save(path)
    images = np.random.default_rng(0).random((4, 12, 12, 3), dtype=np.float32)
    before = model.predict(images, verbose=0)
    subject = load(path)
    assert subject.head == ("logits" if head == "logits" else "softmax")
    assert (subject.input_shape, subject.outputs, subject.size, subject.channels) == (
        (12, 12, 3),
        3,
        (12, 12),
        3,
    )
    logits = subject.classifier.predict(images, 3)
    answer = logits if head == "logits" else keras.ops.convert_to_numpy(keras.ops.softmax(logits))
    assert np.allclose(answer, before, atol=1e-5)
    if head != "logits":
        assert not np.allclose(logits.sum(axis=1), 1)


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
    assert load(tmp_path / "m.keras").own_preprocessing == "scale"


def two_inputs():
    a, b = keras.Input((4, 4, 3)), keras.Input((4, 4, 3))
    return keras.Model([a, b], keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.Add()([a, b]))))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (two_inputs, "2 inputs"),
        (lambda: network(keras.layers.Dense(1, activation="sigmoid")), "at least two"),
        (lambda: network(keras.layers.Dense(3, activation="sigmoid")), "'sigmoid'"),
        (lambda: keras.Sequential([keras.Input((10,)), keras.layers.Dense(2)]), "an image of fixed size"),
        (lambda: network(keras.layers.Dense(2), shape=(9, 9, 4)), "1 or 3 channels"),
    ],
)
def test_what_cannot_be_audited_is_a_plain_error(build, message, tmp_path):
    build().save(tmp_path / "model.keras")
    with pytest.raises(BadInputError, match=message):
        load(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.h5", b"no model", "cannot be loaded"),
        ("model.keras", b"no model", "cannot be loaded"),
        ("model.h5", b"", "cannot be loaded"),
        ("model.pb", b"no model", "not named like a Keras model"),
        ("missing.h5", None, "does not exist"),
    ],
)
def test_what_is_no_model_is_a_plain_error(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInputError, match=message):
        load(tmp_path / name)
