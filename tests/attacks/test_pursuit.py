"""Restarts, the best iterate, and bfloat16 before float32."""

import numpy as np
import pytest
from art.attacks.evasion import ProjectedGradientDescentNumpy as ArtPGD
from conftest import arena, brief

from auditor.attacks import ATTACKS
from auditor.models.estimator import LogitsClassifier

SMALL = 0.6 / 255


@pytest.fixture(scope="module")
def many(data):
    from auditor.data.folder import read_folder
    from auditor.data.pixels import unit

    images = read_folder(data)
    return unit(images.pixels((32, 32), 3, 0, 60)), np.eye(2, dtype=np.float32)[images.labels]


def errs(subject, images, targets):
    return subject.classifier.logits(images, 32).argmax(axis=1) != targets.argmax(axis=1)


def test_one_restart_is_arts_own_attack_where_nothing_falls(subject, many):
    images, targets = many
    field = arena(subject, images, targets)
    right = field.right

    class Once(type(ATTACKS["pgd"])):
        restarts, steps = 1, 3

    epsilon = 0.02 / 255
    ours = Once().craft(field, epsilon)
    with field.seeded(0):
        theirs = ArtPGD(
            subject.classifier, eps=epsilon, eps_step=epsilon / 10, max_iter=3, num_random_init=1, verbose=False
        ).generate(images[right], targets[right])
    still = ~errs(subject, theirs, targets[right])
    assert still.sum() > 20
    assert np.array_equal(ours[right][still], theirs[still])


def test_crafting_in_bfloat16_first_is_on_no_image_weaker(subject, many):
    images, targets = many
    for name in ("pgd", "apgd", "pgd-margin"):
        plain = errs(subject, brief(name).craft(arena(subject, images, targets), SMALL), targets)
        mixed = errs(subject, brief(name).craft(arena(subject, images, targets, coarse=True), SMALL), targets)
        assert not (plain & ~mixed).any(), name
        # Something falls and something stands: the comparison is not an empty one.
        assert 5 < plain.sum() < 55, name


def test_what_bfloat16_leaves_is_attacked_in_float32_and_nothing_else(subject, many, monkeypatch):
    images, targets = many
    asked = []
    original = LogitsClassifier.trail

    def trail(self, labels, done, target=None):
        asked.append((self._coarse, int((~done).sum())))
        return original(self, labels, done, target)

    monkeypatch.setattr(LogitsClassifier, "trail", trail)
    brief("pgd").craft(arena(subject, images, targets, coarse=True), SMALL)
    coarse = [count for is_coarse, count in asked if is_coarse]
    exact = [count for is_coarse, count in asked if not is_coarse]
    assert coarse
    assert exact
    assert [is_coarse for is_coarse, _ in asked] == [True] * len(coarse) + [False] * len(exact)
    assert exact[0] < coarse[0]
    assert coarse == sorted(coarse, reverse=True)
    assert exact == sorted(exact, reverse=True)


def test_bfloat16_never_judges(subject, many):
    images, targets = many
    field = arena(subject, images, targets, coarse=True)
    found = brief("pgd").craft(field, SMALL)
    exact, coarse = subject.classifier.logits(found, 32), subject.estimator(coarse=True).logits(found, 32)
    assert not np.array_equal(exact, coarse)
    assert np.array_equal(field.errs(found, np.arange(60)), exact.argmax(axis=1) != targets.argmax(axis=1))


def test_restarts_are_kept_for_each_image(subject, many):
    images, targets = many

    class Attempts(type(ATTACKS["pgd"])):
        steps = 4

        def __init__(self, restarts):
            self.restarts = restarts

    one = errs(subject, Attempts(1).craft(arena(subject, images, targets), SMALL), targets)
    five = errs(subject, Attempts(5).craft(arena(subject, images, targets), SMALL), targets)
    assert 0 < one.sum() < len(one)
    assert not (one & ~five).any()


def test_the_trail_keeps_the_first_iterate_that_fools_and_moves_it_no_further(subject, many):
    images, targets = many
    labels = targets.argmax(axis=1)
    rows = np.flatnonzero(arena(subject, images, targets).right)[:6]
    x, y = images[rows], targets[rows]
    # Another label: every image looks fooled at once, but for those marked as done.
    done = np.array([True, False, False, True, False, False])
    with subject.classifier.trail(1 - labels[rows], done) as trail:
        first = subject.classifier.loss_gradient(x, y)
        assert sorted(trail.found) == [1, 2, 4, 5]
        assert trail.done.all()
        assert not first.any()
        assert np.array_equal(trail.found[1], x[1])
    with subject.classifier.trail(labels[rows], done) as trail:
        gradient = subject.classifier.loss_gradient(x, y)
        assert not trail.found
        assert gradient[~done].reshape(4, -1).any(axis=1).all()
        assert not gradient[done].any()
    assert np.allclose(subject.classifier.loss_gradient(x, y)[1], gradient[1], atol=1e-6)


def test_a_targeted_trail_asks_for_the_target(subject, many):
    images, targets = many
    labels = targets.argmax(axis=1)
    with subject.classifier.trail(1 - labels[:4], np.zeros(4, bool), target=9) as trail:
        subject.classifier.loss_gradient(images[:4], targets[:4])
    assert not trail.found
