"""From the outcomes of an audit to its checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auditor.checks import model, strength
from auditor.checks.result import skipped
from auditor.epsilon import epsilon_words
from auditor.metrics.classification import leads
from auditor.metrics.intervals import paired_difference

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from auditor.attacks import Attack
    from auditor.engine.outcomes import Outcomes
    from auditor.engine.plan import Plan
    from auditor.record import Check

_NOT_RUN = "What it compares was not run or crashed; --suite standard runs it."


def check_all(
    outcomes: Outcomes, plan: Plan, passes: NDArray[np.float32], ids: Sequence[str], classes: Sequence[str]
) -> list[Check]:
    """Make every check.

    Args:
        outcomes: of the audit.
        plan: that was carried out.
        passes: logits of several passes of the first images, of shape `(passes, k, C)`.
        ids: of the test images.
        classes: their names, in the order of the outputs.
    """
    view = _View(outcomes, plan)
    right, diagnosis = outcomes.right, outcomes.diagnosis
    remedied = view.ran("pgd-margin") or view.ran("margin-remedy")
    checks = [
        strength.completed([(f"{n} at {epsilon_words(e)}", f.failure) for (n, e), f in view.failed.items()]),
        model.deterministic(passes, outcomes.labels[: passes.shape[1]]),
        model.class_order(outcomes.clean.argmax(axis=1), outcomes.labels, classes),
        model.finite(diagnosis.undefined, ids),
        model.zero_gradient(diagnosis.vanished, diagnosis.blind, right, remedied, ids),
        model.saturation(leads(outcomes.clean, outcomes.labels), remedied, ids),
        strength.within_budget(
            {f"{name} at {epsilon_words(e)}": found.outside for (name, e), found in view.done.items()}, ids
        ),
        strength.unchanged(view.stuck(), ids),
    ]
    white_box = [attack for attack in plan.attacks if attack.knowledge == "white-box"]
    checks += [_harmful(view, white_box), _noise(view, white_box)]
    checks += [strength.grows(attack.name, view.won(attack.name)) for attack in view.single_steps()]
    checks += [_unbounded(view, ids), _iterative(view, ids), _converged(view, ids)]
    checks += [_gradient_free(view, white_box, ids), _eight_bit(view)]
    return checks


def foreseen(plan: Plan) -> dict[str, str | None]:
    """Every check by name, and why it will not be made under a plan; None where it will."""
    ran = {attack.name for attack in plan.attacks}

    def needs(*names: str) -> str | None:
        missing = [name for name in names if name not in ran]
        return f"it needs the attack {' and '.join(missing)}" if missing else None

    white_box = [attack for attack in plan.attacks if attack.knowledge == "white-box" and attack.role == "attack"]
    guided = any(attack.norm == "L-inf" and attack.meets_all for attack in white_box)
    chosen = [attack for attack in plan.attacks if attack.role == "attack"]
    steps = [attack for attack in chosen if not attack.pursues and len(plan.budgets(attack)) > 1]
    always = (
        "completed", "deterministic", "class-order", "finite", "zero-gradient", "saturation", "budget", "unchanged",
        *(f"grows: {attack.name}" for attack in steps),
    )  # fmt: skip
    bounded = any(plan.headline in plan.budgets(attack) for attack in chosen)
    return {
        **dict.fromkeys(always),
        "harmful": None if white_box else "it needs an attack along the gradient",
        "noise-control": needs("noise") or (None if guided else "it needs a white-box attack in L-inf on every image"),
        "unbounded": needs("pgd"),
        "iterative": needs("fgsm", "pgd"),
        "converged": needs("pgd"),
        "gradient-free": needs("square")
        or (None if any(map(_searches, plan.attacks)) else "it needs an attack of many steps, pgd for example"),
        "eight-bit": None if bounded else "it needs an attack that epsilon bounds",
    }


class _View:
    """The outcomes as the checks ask for them."""

    def __init__(self, outcomes: Outcomes, plan: Plan) -> None:
        self.outcomes, self.plan = outcomes, plan
        self.done = {cell: found for cell, found in outcomes.attacked.items() if not found.failure}
        self.failed = {cell: found for cell, found in outcomes.attacked.items() if found.failure}

    def ran(self, name: str) -> bool:
        return any(found.concerned.any() for (other, _), found in self.done.items() if other == name)

    def won(self, name: str) -> dict[float, NDArray[np.bool_]]:
        """Images an attack wins, by epsilon."""
        return {
            e: self.outcomes.wrong((other, e)) & self.outcomes.right
            for other, e in self.done
            if other == name and e is not None
        }

    def union(self, attacks: Sequence[Attack]) -> dict[float, NDArray[np.bool_]]:
        """Images that any of the attacks that are bounded in L-inf wins at that epsilon or a smaller one."""
        found: dict[float, NDArray[np.bool_]] = {}
        so_far = np.zeros(len(self.outcomes.labels), dtype=bool)
        for epsilon in self.plan.epsilons:
            for attack in attacks:
                if attack.norm == "L-inf" and attack.role != "probe" and epsilon in (won := self.won(attack.name)):
                    so_far = so_far | won[epsilon]
                    found[epsilon] = so_far
        return found

    def single_steps(self) -> list[Attack]:
        """Attacks that do not carry over what they won at a smaller epsilon."""
        return [
            attack
            for attack in self.plan.attacks
            if attack.role == "attack" and not attack.pursues and len(self.won(attack.name)) > 1
        ]

    def stuck(self) -> NDArray[np.bool_]:
        """Correctly classified images that a single step along the gradient left as they were, at any epsilon."""
        found = np.zeros(len(self.outcomes.labels), dtype=bool)
        for attack in self.plan.attacks:
            if attack.single_step:
                for e in self.won(attack.name):
                    attacked = self.done[attack.name, e]
                    found |= attacked.concerned & self.outcomes.right & (attacked.distances.linf == 0)
        return found


def _harmful(view: _View, white_box: Sequence[Attack]) -> Check:
    outcomes, changes = view.outcomes, {}
    for (name, epsilon), found in view.done.items():
        rows = found.concerned
        if rows.any() and any(attack.name == name and attack.role == "attack" for attack in white_box):
            after = found.predicted[rows] == outcomes.labels[rows]
            changes[f"{name} at {epsilon_words(epsilon)}"] = paired_difference(outcomes.right[rows], after)
    if not changes:
        threshold = "no rise beyond the 95% interval of the paired difference"
        return skipped("harmful", "Do the attacks along the gradient lower the accuracy?", threshold, _NOT_RUN)
    return strength.harmful(changes)


def _noise(view: _View, white_box: Sequence[Attack]) -> Check:
    noise = view.union([attack for attack in view.plan.attacks if attack.name == "noise"])
    # Noise was run on every image.
    gradient = view.union([attack for attack in white_box if attack.meets_all])
    if not noise or not gradient:
        return skipped("noise-control", "Are the attacks stronger than random noise?", "more than noise", _NOT_RUN)
    return strength.noise_control(noise, gradient, view.outcomes.right)


def _unbounded(view: _View, ids: Sequence[str]) -> Check:
    found, labels = view.done.get(("pgd-unbounded", 0.5)), view.outcomes.labels
    rows = found.concerned if found else np.zeros(len(labels), dtype=bool)
    if found is None or not (rows & view.outcomes.right).any():
        return skipped(
            "unbounded",
            "Does an attack win that may do nearly anything?",
            "at most the share of the largest class",
            _NOT_RUN if found is None else "No image was classified correctly to begin with.",
        )
    return strength.unbounded(
        view.outcomes.right[rows],
        found.predicted[rows] == labels[rows],
        float(np.bincount(labels).max() / len(labels)),
        [ids[i] for i in np.flatnonzero(rows).tolist()],
    )


def _iterative(view: _View, ids: Sequence[str]) -> Check:
    single, iterative = view.won("fgsm"), view.won("pgd")
    if not set(single) & set(iterative):
        return skipped(
            "iterative",
            "Do many steps win at least as much as one?",
            "PGD at least as many as FGSM",
            _NOT_RUN,
        )
    return strength.iterative_beats_single_step(single, iterative, ids)


def _converged(view: _View, ids: Sequence[str]) -> Check:
    headline = view.plan.headline
    before, after = view.won("pgd"), view.won("pgd-longer")
    if headline not in before or headline not in after:
        return skipped("converged", "Had PGD taken enough steps?", "at most 0.5 points more", _NOT_RUN)
    return strength.converged(after[headline] & ~before[headline], headline, ids)


def _gradient_free(view: _View, white_box: Sequence[Attack], ids: Sequence[str]) -> Check:
    free, won = view.won("square"), view.union(white_box)
    shared = sorted(set(free) & set(won))
    if not shared or not any(_searches(attack) and view.ran(attack.name) for attack in white_box):
        return skipped(
            "gradient-free",
            "Does an attack that sees no gradient win what the others miss?",
            "at most 0.2 points by Square alone",
            _NOT_RUN,
        )
    rows = view.done["square", shared[0]].concerned
    return strength.gradient_free(
        {e: free[e][rows] for e in shared},
        {e: won[e][rows] for e in shared},
        [ids[i] for i in np.flatnonzero(rows).tolist()],
    )


def _searches(attack: Attack) -> bool:
    """Whether what it misses tells of its gradients: one step misses images whether they are masked or not."""
    return attack.role == "attack" and attack.iterates and attack.meets_all


def _eight_bit(view: _View) -> Check:
    headline, labels = view.plan.headline, view.outcomes.labels
    undone = {}
    for attack in view.plan.attacks:
        found = view.done.get((attack.name, headline))
        if attack.role == "attack" and found is not None and found.concerned.any():
            wrong = found.concerned & view.outcomes.right & (found.predicted != labels)
            undone[attack.name] = int((wrong & (found.rounded == labels)).sum()), int(wrong.sum())
    if not undone:
        return skipped("eight-bit", "Do the adversarial images survive being stored as files?", "all", _NOT_RUN)
    return strength.eight_bit(undone, headline)
