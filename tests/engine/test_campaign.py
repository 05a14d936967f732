import numpy as np
import pytest

from auditor.attacks import ATTACKS
from auditor.attacks.noise import Noise
from auditor.engine.campaign import Batch, Campaign, diagnose, settled
from auditor.engine.plan import Plan, choose

EVERYONE = np.ones(20, dtype=bool)


@pytest.fixture
def field(subject, batch):
    images, targets = batch
    return Batch(subject, images, targets.argmax(axis=1), 0)


def fight(field, names, epsilons, attack=None):
    plan = Plan(choose(names), epsilons, 20)
    campaign = Campaign(field, plan, {}, diagnose(field))
    chosen = attack or plan.attacks[0]
    return {epsilon: (made, found) for epsilon, made, found, _ in campaign.fight(chosen, EVERYONE)}


def test_no_answer_is_a_wrong_answer():
    logits = np.array([[2.0, 1.0], [np.nan, 0.0], [np.inf, 0.0]], np.float32)
    found = settled(logits, np.array([0, 0, 1]))
    assert found.argmax(axis=1).tolist() == [0, 1, 0]
    assert np.isfinite(found).all()
    assert np.array_equal(settled(logits[:1], np.array([1])), logits[:1])


def test_half_a_step_of_an_8_bit_image_dies_in_rounding_and_whole_ones_do_not(field):
    found = fight(field, ["fgsm"], (0.5 / 255, 1 / 255, 2.5 / 255))
    clean = field.clean.argmax(axis=1)
    assert (found[0.5 / 255][1].predicted != clean).any()
    assert np.array_equal(found[0.5 / 255][1].rounded, clean)
    assert np.array_equal(found[1 / 255][1].rounded, found[1 / 255][1].predicted)
    # Two and a half steps become two.
    model, made = field.subject.classifier, found[2.5 / 255][0]
    two = field.images + np.round((made - field.images) * 255 * 0.8) / np.float32(255)
    again = model.logits(np.clip(two, 0, 1).astype(np.float32), 20).argmax(axis=1)
    assert np.array_equal(found[2.5 / 255][1].rounded, again)


def test_an_attack_that_pursues_keeps_what_it_has_won(field):
    found = fight(field, ["pgd"], (0.5 / 255, 2 / 255))
    (first, small), (second, large) = found.values()
    won = (small.predicted != field.labels) & (field.clean.argmax(axis=1) == field.labels)
    assert 0 < won.sum() < 20
    assert np.array_equal(first[won], second[won])
    assert np.array_equal(small.logits[won], large.logits[won])
    # What is wrong from the start is not touched.
    wrong = field.clean.argmax(axis=1) != field.labels
    assert np.array_equal(second[wrong], field.images[wrong])


def test_an_image_out_of_its_budget_is_noticed(field, monkeypatch):
    monkeypatch.setattr(Noise, "craft", lambda self, arena, epsilon: arena.images * 0.5)
    assert fight(field, ["noise"], (1 / 255,))[1 / 255][1].outside.all()
    monkeypatch.setattr(Noise, "craft", lambda self, arena, epsilon: arena.images * np.float32(np.nan))
    assert fight(field, ["noise"], (1 / 255,))[1 / 255][1].outside.all()


def test_a_crash_is_kept_with_its_reason_and_what_follows_is_not_run(field, monkeypatch):
    def crash(self, arena, epsilon):
        raise MemoryError("too much")

    monkeypatch.setattr(type(ATTACKS["pgd"]), "craft", crash)
    plan = Plan(choose(["pgd"]), (1 / 255, 2 / 255), 20)
    campaign = Campaign(field, plan, {}, diagnose(field))
    found = [part for attack in plan.attacks for _, _, part, _ in campaign.fight(attack, EVERYONE)]
    by_pgd, later = found[0], found[1]
    assert by_pgd.failure == "MemoryError: too much"
    assert later.failure.startswith("not run, because what it goes on from crashed: MemoryError")
    assert np.array_equal(by_pgd.logits, field.clean)


def test_an_attack_that_could_not_learn_has_crashed(field):
    plan = Plan(choose(["universal"]), (1 / 255,), 20)
    campaign = Campaign(field, plan, {("universal", 1 / 255): "ValueError: no"})
    (_, _, found, _) = next(iter(campaign.fight(plan.attacks[0], EVERYONE)))
    assert found.failure == "RuntimeError: ValueError: no"
