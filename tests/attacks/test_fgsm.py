import keras
import numpy as np
import pytest
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import TensorFlowV2Classifier
from conftest import arena

from auditor.attacks import ATTACKS


def plain_art(trained, *, logits):
    """ART's own classifier, used as its documentation says, on the model as it was saved."""
    model = keras.saving.load_model(trained.model, compile=False)
    if logits:
        model.layers[-1].activation = keras.activations.linear
    loss = keras.losses.CategoricalCrossentropy(from_logits=logits)
    return TensorFlowV2Classifier(model, 2, (32, 32, 3), loss_object=loss, clip_values=(0, 1))


@pytest.mark.parametrize("logits", [True, False])
@pytest.mark.parametrize("epsilon", [0.5 / 255, 2 / 255, 8 / 255])
def test_fgsm_images_are_those_of_plain_art(subject, trained, batch, epsilon, logits):
    images, targets = batch
    ours = ATTACKS["fgsm"].craft(arena(subject, images, targets), epsilon)
    theirs = FastGradientMethod(plain_art(trained, logits=logits), eps=epsilon).generate(images, targets)
    # Where the gradient is 0 but for rounding, its sign is rounding too.
    differ = np.abs(ours - theirs) > 1e-6
    assert differ.mean() < 1e-4
    assert np.abs(ours - theirs).max() <= 2 * epsilon + 1e-6
    assert np.abs(ours - images).max() == pytest.approx(epsilon, abs=1e-6)
    assert ours.min() >= -1e-6
    assert ours.max() <= 1 + 1e-6
