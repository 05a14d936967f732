import numpy as np
import pytest
import tensorflow as tf
from conftest import arena

from auditor.attacks import ATTACKS
from auditor.models.estimator import LogitsClassifier


def test_gradient_of_an_image_does_not_depend_on_its_batch(subject, batch):
    images, targets = batch
    whole = subject.classifier.loss_gradient(images, targets)
    alone = subject.classifier.loss_gradient(images[3:4], targets[3:4])
    assert np.allclose(whole[3], alone[0], rtol=1e-3, atol=1e-7)


def test_one_gradient_serves_every_epsilon(subject, batch, monkeypatch):
    images, targets = batch
    calls = []
    compiled = subject.classifier._gradient
    monkeypatch.setattr(subject.classifier, "_gradient", lambda *a: calls.append(1) or compiled(*a))
    monkeypatch.setattr(subject.classifier, "_last", None)
    first = [ATTACKS["fgsm"].craft(arena(subject, images, targets), e / 255) for e in (1, 2, 4)]
    assert len(calls) == 1
    ATTACKS["fgsm"].craft(arena(subject, images, targets[::-1].copy()), 1 / 255)
    assert len(calls) == 2
    assert not np.array_equal(first[0], first[1])


def test_a_gradient_answers_for_its_images(subject, batch, monkeypatch):
    images, targets = batch
    subject.forget()
    monkeypatch.setattr(subject.classifier, "_last", None)
    subject.classifier.loss_gradient(images, targets)
    alone = subject.classifier.logits(images, 20)
    monkeypatch.setattr(subject.classifier, "_logits", None)
    assert np.allclose(subject.classifier.predict(images), alone, atol=1e-5)
    subject.forget()
    with pytest.raises(TypeError):
        subject.classifier.predict(images)


def test_a_smaller_batch_compiles_nothing_new(subject, batch):
    images, targets = batch
    subject.classifier.logits(images, 8)
    subject.classifier.loss_gradient(images[:5], targets[:5])
    assert subject.classifier._logits.experimental_get_tracing_count() == 1
    assert subject.classifier._gradient.experimental_get_tracing_count() == 1


def test_no_weight_gradient_is_needed(subject):
    graph = subject.classifier._gradient.get_concrete_function().graph
    # TensorFlow runs only what an output depends on.
    needed, ahead = set(), [tensor.op for tensor in graph.outputs]
    while ahead:
        operation = ahead.pop()
        if operation not in needed:
            needed.add(operation)
            ahead += [tensor.op for tensor in operation.inputs] + list(operation.control_inputs)
    kinds = {operation.type for operation in needed}
    assert any("BackpropInput" in kind for kind in kinds)
    assert not any("BackpropFilter" in kind for kind in kinds)


@pytest.mark.parametrize("lead", [1.0, 16.8, 20.0, 50.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_gradient_points_the_right_way_however_confident_the_model(lead, classes):
    # A linear model with one input a class: the gradient of the cross-entropy by the image is known exactly.
    weights = np.random.default_rng(1).normal(size=(48, classes)).astype(np.float32)
    offset = np.zeros(classes, np.float32)
    offset[0] = lead
    x = np.full((1, 4, 4, 3), 0.5, np.float32)
    flat = x.reshape(1, 48)
    offset -= (flat @ weights)[0]

    def forward(images):
        return tf.reshape(images, (-1, 48)) @ weights + offset

    classifier = LogitsClassifier(forward, classes, (4, 4, 3))
    targets = np.eye(classes, dtype=np.float32)[:1]
    found = classifier.loss_gradient(x, targets).ravel()
    z = (flat.astype(np.float64) @ weights + offset)[0]
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    expected = (weights.astype(np.float64)[:, 1:] - weights[:, :1]) @ p[1:]
    assert (np.sign(found) == np.sign(expected)).all()
    assert np.allclose(found / np.abs(found).max(), expected / np.abs(expected).max(), atol=1e-3)


def test_a_gradient_too_small_to_be_squared_keeps_its_direction():
    # In L2 ART squares the gradient: below 1e-23 nothing would be left of it in float32.
    weights = np.random.default_rng(1).normal(size=(48, 2)).astype(np.float32)

    def forward(images):
        return tf.reshape(images, (-1, 48)) @ weights + np.array([70, 0], np.float32)

    classifier = LogitsClassifier(forward, 2, (4, 4, 3))
    x = np.full((1, 4, 4, 3), 0.5, np.float32)
    from art.attacks.evasion import FastGradientMethod

    found = FastGradientMethod(classifier, norm=2, eps=0.5, eps_step=0.5).generate(x, np.eye(2, dtype=np.float32)[:1])
    assert np.linalg.norm(found - x) == pytest.approx(0.5, rel=1e-3)


def test_no_images_have_no_logits(subject):
    assert subject.classifier.predict(np.empty((0, 32, 32, 3), np.float32)).shape == (0, 2)
