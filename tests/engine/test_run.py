from contextlib import contextmanager

import keras
import numpy as np
import pytest
from art.attacks.evasion import FastGradientMethod
from art.estimators.classification import TensorFlowV2Classifier
from PIL import Image

from auditor import AuditSettings
from auditor.attacks import ATTACKS
from auditor.data.folder import read_folder
from auditor.engine.examples import ExampleKeeper
from auditor.engine.journal import Header, Journal
from auditor.engine.plan import Plan
from auditor.engine.run import run
from auditor.models.subject import load

EPSILONS = (1 / 255, 4 / 255)


class Listener:
    def __init__(self):
        self.total = self.done = 0.0

    @contextmanager
    def task(self, title, total):
        self.total = total
        yield self.advance

    def advance(self, units, note, left=None):
        self.done += units
        self.total = self.total if left is None else self.done + left

    def say(self, message):
        raise AssertionError(message)


@pytest.fixture(scope="module")
def ran(trained, data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    images = read_folder(data)
    plan = Plan((ATTACKS["fgsm"],), EPSILONS, 7)
    keeper = ExampleKeeper(folder, images, "fgsm", EPSILONS[1])
    listener = Listener()
    header = Header(id="", started="", model="", data="", settings=AuditSettings(), batch_size=7, key={})
    journal = Journal.begin(folder, header, plan.names)
    outcomes = run(load(trained.model), images, plan, keeper, journal, listener)
    return images, outcomes, keeper, listener, folder


def test_predictions_are_those_of_plain_art(ran, trained):
    images, outcomes, *_ = ran
    model = keras.saving.load_model(trained.model, compile=False)
    plain = TensorFlowV2Classifier(
        model, 2, (32, 32, 3), loss_object=keras.losses.CategoricalCrossentropy(), clip_values=(0, 1)
    )
    x = images.pixels((32, 32), 3, 0, len(images)).astype(np.float32) / 255
    assert np.array_equal(plain.predict(x).argmax(1), outcomes.clean.argmax(1))
    for epsilon in EPSILONS:
        adversarial = FastGradientMethod(plain, eps=epsilon).generate(x, np.eye(2)[images.labels])
        assert np.array_equal(plain.predict(adversarial).argmax(1), outcomes.attacked["fgsm", epsilon].logits.argmax(1))


def test_every_image_stays_within_its_budget(ran):
    _, outcomes, *_ = ran
    for epsilon in EPSILONS:
        assert outcomes.attacked["fgsm", epsilon].distances.linf.max() <= epsilon + 1e-6


def test_progress_ends_at_its_total(ran):
    *_, listener, _ = ran
    assert listener.done == pytest.approx(listener.total)


def test_seconds_are_told(ran):
    _, outcomes, *_ = ran
    assert set(outcomes.seconds) == {"clean", "craft", "judge", "rest"}
    assert all(value > 0 for value in outcomes.seconds.values())


def test_examples_are_the_first_correct_images_of_each_class(ran):
    images, outcomes, keeper, _, folder = ran
    correct = outcomes.clean.argmax(1) == images.labels
    expected = {images.images[i].id for label in (0, 1) for i in np.flatnonzero(correct & (images.labels == label))[:2]}
    assert {example.id for example in keeper.examples} == expected
    for example in keeper.examples:
        place = [image.id for image in images.images].index(example.id)
        predicted = images.classes[outcomes.attacked["fgsm", EPSILONS[1]].logits[place].argmax()]
        assert example.adversarial.predicted == predicted
        original, change, adversarial = (
            np.asarray(Image.open(folder / name), dtype=int)
            for name in (example.original_file, example.perturbation_file, example.adversarial_file)
        )
        assert np.abs(adversarial - original).max() == 4
        # Where the picture is not at the end of its range, the amplified change tells the direction.
        middle = (original > 4) & (original < 251)
        assert ((change[middle] > 200) == (adversarial > original)[middle]).all()
