"""Models made to defeat an attack without being robust, and one that is robust: what an audit says of each.

Plain ART is asked as well, used as its documentation says, on the model as it was saved.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import TensorFlowV2Classifier
from conftest import draw_folder

from auditor import AuditSettings, audit
from auditor.attacks import suite
from auditor.data.folder import read_folder
from auditor.data.pixels import unit
from auditor.files import sha256_model

EPSILON = 8 / 255
SHAPE = (32, 32, 3)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return draw_folder(tmp_path_factory.mktemp("made") / "data", 12, first=5000)


@pytest.fixture(scope="module")
def pixels(images):
    found = read_folder(images)
    return unit(found.pixels(SHAPE[:2], 3, 0, len(found))), found.labels


def in_front(operation, model):
    """The model with something in front of it."""
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, model(operation(inputs)))


@keras.saving.register_keras_serializable("tests")
class Grain(keras.layers.Layer):
    """Adds noise at inference."""

    def call(self, x):
        return x + tf.random.normal(tf.shape(x), stddev=0.1)


def saturated(model, _):
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * 1e5, bias * 1e5])
    return model


def quantised(model, _):
    return in_front(lambda x: keras.ops.round(x * 16) / 16, model)


def detached(model, _):
    return in_front(keras.ops.stop_gradient, model)


def random(model, _):
    return in_front(Grain(), model)


def sometimes_nan(model, x):
    middle = float(np.median(x.mean(axis=(1, 2, 3))))
    model.layers[-1].activation = keras.activations.linear
    inputs = keras.Input(SHAPE)
    # Behind the model: inside it, a rectifier may turn what is no number into a zero.
    light = keras.ops.mean(inputs, (1, 2, 3)) - middle
    return keras.Model(inputs, model(inputs) + 1e-30 * keras.ops.sqrt(light)[:, None])


def plain_art(model, pixels, from_logits):
    """Accuracy that plain ART reports under FGSM."""
    x, labels = pixels
    loss = keras.losses.CategoricalCrossentropy(from_logits=from_logits)
    classifier = TensorFlowV2Classifier(model, 2, SHAPE, loss_object=loss, clip_values=(0, 1))
    adversarial = FastGradientMethod(classifier, eps=EPSILON).generate(x, np.eye(2)[labels])
    return float((classifier.predict(adversarial).argmax(axis=1) == labels).mean())


@pytest.fixture(scope="module")
def audited_model(trained, images, pixels, tmp_path_factory):
    """Audit a model made of the small one, and ask plain ART."""

    def run(make, attacks=("noise", "fgsm")):
        model = make(keras.saving.load_model(trained.model, compile=False), pixels[0])
        folder = tmp_path_factory.mktemp(make.__name__)
        model.save(folder / "m.keras")
        # One of them is of a class of this module, which is not safe to load.
        allowed = (sha256_model(folder / "m.keras")[0],)
        settings = AuditSettings(
            attacks=attacks, epsilons=(2 / 255, EPSILON), preprocessing="unit", allow_unsafe=allowed
        )
        try:
            saved = keras.saving.load_model(folder / "m.keras", compile=False)
            art = plain_art(saved, pixels, from_logits=make in (robust, sometimes_nan))
        except AttributeError:  # where the graph has no gradient at all, ART stops
            art = None
        return audit(folder / "m.keras", images, folder / "audit", settings), art

    return run


def outcome(record):
    return {check.name: check.status for check in record.checks}


def accuracy(record, name):
    return next(a.accuracy.value for a in record.attacks if a.name == name and a.epsilon == EPSILON)


def test_saturated_logits_are_broken_by_the_margin_loss(audited_model):
    result, art = audited_model(saturated)
    record = result.record
    # Plain ART: as accurate as without an attack.
    assert art == record.clean.accuracy.value
    assert outcome(record)["zero-gradient"] == "WARN"
    assert outcome(record)["saturation"] == "WARN"
    assert accuracy(record, "margin-remedy") <= 0.2
    assert record.worst_case[-1].accuracy.value == accuracy(record, "margin-remedy")
    remedy = next(a for a in record.attacks if a.name == "margin-remedy")
    assert 0 < remedy.remedy <= record.clean.accuracy.count
    assert "margin-remedy" in result.reports.html.read_text()
    assert record.verdict.status == "NONE"


@pytest.mark.parametrize("make", [quantised, detached])
def test_hidden_gradients_are_inconclusive(audited_model, make):
    result, art = audited_model(make)
    record = result.record
    assert art is None
    assert outcome(record)["zero-gradient"] == "FAIL"
    assert record.verdict.status == "INCONCLUSIVE"
    assert any("gradient" in reason for reason in record.verdict.reasons)
    check = next(c for c in record.checks if c.name == "zero-gradient")
    assert check.images
    assert "INCONCLUSIVE" in result.reports.html.read_text()


def test_square_unmasks_hidden_gradients(audited_model):
    record = audited_model(quantised, ("fgsm", "pgd", "square"))[0].record
    assert outcome(record)["gradient-free"] == "FAIL"


def test_randomness_is_inconclusive(audited_model):
    record = audited_model(random)[0].record
    assert outcome(record)["deterministic"] == "FAIL"
    assert record.verdict.status == "INCONCLUSIVE"


def test_missing_answers_are_inconclusive_and_count_as_wrong(audited_model, pixels):
    result, _ = audited_model(sometimes_nan)
    record = result.record
    dark = pixels[0].mean(axis=(1, 2, 3)) < np.median(pixels[0].mean(axis=(1, 2, 3)))
    assert outcome(record)["finite"] == "FAIL"
    assert outcome(record)["deterministic"] == "PASS"
    assert record.verdict.status == "INCONCLUSIVE"
    assert record.clean.accuracy.count <= (~dark).sum()
    named = next(c for c in record.checks if c.name == "finite").images
    assert len(named) >= dark.sum()
    assert result.reports.html.is_file()


def robust(model, x):
    """A small model trained on adversarial images (Madry et al. 2018)."""
    del model
    keras.utils.set_random_seed(0)
    generator = np.random.default_rng(0)
    network = keras.Sequential(
        [
            keras.Input(SHAPE),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.Dense(2),
        ]
    )
    optimiser = keras.optimizers.Adam(0.02)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    tint = np.array([[-0.5, 0, 0.5], [0.5, 0, -0.5]], np.float32)
    for _ in range(150):
        labels = generator.integers(0, 2, 32)
        batch = x.mean() + generator.normal(0, 0.2, (32, *SHAPE)) + 0.3 * tint[labels][:, None, None]
        batch = tf.constant(np.clip(batch, 0, 1), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(batch)
            value = loss(labels, network(batch))
        batch = tf.clip_by_value(batch + EPSILON * tf.sign(tape.gradient(value, batch)), 0, 1)
        with tf.GradientTape() as tape:
            value = loss(labels, network(batch))
        optimiser.apply(tape.gradient(value, network.trainable_variables), network.trainable_variables)
    return network


def test_a_robust_model_is_conclusive(audited_model):
    record = audited_model(robust, suite("standard"))[0].record
    assert record.verdict.status == "NONE"
    assert not {check.name for check in record.checks if check.status in ("FAIL", "ERROR")}
    assert outcome(record)["unbounded"] == "PASS"
    assert outcome(record)["gradient-free"] == "PASS"
    assert outcome(record)["noise-control"] == "PASS"
    # It is accurate, and keeps most of its accuracy where the frail model of the other tests keeps next to none.
    assert record.clean.accuracy.value > 0.8
    assert record.worst_case[0].accuracy.value > 0.7
