"""Every attack on the small model: it keeps to its rules, and it does what it is for."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import arena

from auditor.attacks import ATTACKS, EVERY
from auditor.attacks.interface import IDENTIFIERS

EPSILON = 8 / 255

#: Share of the images that an attack has to win at that epsilon, or without a bound; 0 for those that may fail.
EXPECTED = {
    "noise": 0, "fgsm": 0.5, "fgm-l2": 0.5, "pgd": 0.9, "pgd-margin": 0.9, "apgd": 0.9, "square": 0.2, "universal": 0.2,
    "deepfool": 0.9, "carlini-l2": 0.5, "hopskipjump": 0.5, "jsma": 0, "spatial": 0.05, "pgd-targeted": 0.4,
}  # fmt: skip

#: Those that may win nothing: they have to change the images all the same.
MAY_FAIL = {"noise", "jsma"}


@pytest.fixture(scope="module")
def eight(batch):
    images, targets = batch
    return images[4:12], targets[4:12]


def craft(name, subject, batch, **more):
    images, targets = batch
    field = arena(subject, images, targets, critical=(1, 0), **more)
    attack = EVERY[name]
    if attack.learns:
        field = replace(field, learned=attack.learn(field, EPSILON))
    return field, attack.craft(field, EPSILON)


def test_the_table_names_every_attack():
    assert set(EXPECTED) == set(ATTACKS)


@pytest.mark.parametrize("name", EXPECTED)
def test_an_attack_stays_in_its_budget_and_wins_what_it_should(name, subject, eight):
    images, targets = eight
    field, found = craft(name, subject, eight)
    assert found.shape == images.shape
    assert found.min() >= -1e-6
    assert found.max() <= 1 + 1e-6
    change = (found - images).reshape(len(images), -1)
    attack = ATTACKS[name]
    if attack.sweeps and not attack.minimal:
        size = np.linalg.norm(change, axis=1) if attack.norm == "L2" else np.abs(change).max(axis=1)
        assert size.max() <= attack.radius(EPSILON, images[0].size) * (1 + 1e-5) + 1e-6
    if attack.norm == "L0":
        assert (change != 0).sum(axis=1).max() <= attack.parameters["values_changed_at_most"]
    right = field.right
    wrong = subject.classifier.logits(found, 8).argmax(axis=1) != targets.argmax(axis=1)
    assert (wrong & right).sum() >= EXPECTED[name] * right.sum()
    assert (EXPECTED[name] > 0) != (name in MAY_FAIL)
    assert (change[right] != 0).any()


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_random_choices_are_the_seeds(name, subject, eight):
    before = np.random.get_state()[1].copy()
    first, again = craft(name, subject, eight)[1], craft(name, subject, eight)[1]
    subject.forget()
    assert np.array_equal(first, again)
    # ART draws from the state of the whole process; it is put back.
    assert np.array_equal(before, np.random.get_state()[1])
    if name in ("noise", "pgd"):
        assert not np.array_equal(first, craft(name, subject, eight, seed=(1,))[1])


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=lambda attack: attack.name)
def test_what_an_attack_says_of_itself_is_complete(attack):
    assert attack.title
    assert attack.reference
    assert attack.parameters
    assert attack.knowledge in IDENTIFIERS
    assert attack.norm in ("L-inf", "L2", "L0", "rotation and translation")
    # Noise alone asks the model nothing.
    assert (attack.cost(2).forwards + attack.cost(2).gradients > 0) == attack.informed
    assert attack.name == "noise" or "art_class" in attack.parameters


def test_images_that_no_longer_stand_are_left_alone(subject, eight):
    images, _ = eight
    standing = np.arange(8) % 2 == 0
    for name in ("pgd", "apgd", "square", "pgd-margin"):
        found = craft(name, subject, eight, standing=standing)[1]
        changed = (found != images).reshape(8, -1).any(axis=1)
        assert not changed[~standing].any(), name


def test_the_targeted_attack_concerns_the_true_class_of_the_critical_error():
    labels = np.array([0, 1, 1, 2])
    assert ATTACKS["pgd-targeted"].concerns(labels, (1, 0)).tolist() == [False, True, True, False]
    assert not ATTACKS["pgd-targeted"].concerns(labels, None).any()
    assert ATTACKS["pgd"].concerns(labels, (1, 0)).all()


def test_a_targeted_attack_has_won_at_its_target_alone():
    predicted, labels = np.array([0, 1, 2]), np.zeros(3, dtype=np.int64)
    assert ATTACKS["pgd-targeted"].won(predicted, labels, (0, 2)).tolist() == [False, False, True]
    assert ATTACKS["pgd"].won(predicted, labels, (0, 2)).tolist() == [False, True, True]


def test_hopskipjump_has_to_have_somewhere_to_start(subject, eight):
    images, targets = eight
    predicted = subject.classifier.predict(images).argmax(axis=1)
    alike = predicted == predicted[0]
    with pytest.raises(ValueError, match="for one class"):
        ATTACKS["hopskipjump"].learn(arena(subject, images[alike], targets[alike]), None)


@pytest.mark.parametrize("size", [(8, 24), (24, 8), (3, 3), (2, 9)])
def test_square_fits_into_any_image(size, tmp_path):
    import keras

    from auditor.models.subject import load

    keras.Sequential([keras.Input((*size, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]).save(
        tmp_path / "m.keras"
    )
    subject = load(tmp_path / "m.keras")
    images = np.random.default_rng(0).random((6, *size, 3), dtype=np.float32)
    targets = np.eye(2, dtype=np.float32)[subject.classifier.predict(images).argmax(axis=1)]
    found = ATTACKS["square"].craft(arena(subject, images, targets), 0.1)
    assert 0 < np.abs(found - images).max() <= 0.1 + 1e-6


def test_the_radius_in_l2_is_the_length_of_a_change_of_every_value():
    change = np.full((1, 6, 5, 3), 0.01)
    assert ATTACKS["fgm-l2"].radius(0.01, 90) == pytest.approx(np.linalg.norm(change))
    assert ATTACKS["fgsm"].radius(0.01, 90) == 0.01
    assert ATTACKS["deepfool"].radius(None, 90) is None
