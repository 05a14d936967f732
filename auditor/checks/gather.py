"""From the outcomes of an audit to its checks and its verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from auditor.checks import model, strength
from auditor.checks.result import skipped
from auditor.epsilon import epsilon_words
from auditor.metrics.classification import leads
from auditor.record import Check, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from auditor.attacks import Attack
    from auditor.engine.outcomes import Outcomes
    from auditor.engine.plan import Plan

_NOT_RUN = "{} was not run; --suite standard runs it."


def check_all(outcomes: Outcomes, plan: Plan, passes: NDArray[np.float32], ids: Sequence[str]) -> list[Check]:
    """Make every check.

    Args:
        outcomes: of the audit.
        plan: that was carried out.
        passes: logits of several passes of the first images, of shape `(passes, k, C)`.
        ids: of the test images.
    """
    view = _View(outcomes, plan)
    right, diagnosis = outcomes.right, outcomes.diagnosis
    remedied = "pgd-margin" in view.names or view.ran("margin-remedy")
    checks = [
        strength.completed([(f"{n} at {epsilon_words(e)}", f.failure) for (n, e), f in view.failed.items()]),
        model.deterministic(passes, outcomes.labels[: passes.shape[1]]),
        model.finite(diagnosis.undefined, ids),
        model.zero_gradient(diagnosis.vanished, diagnosis.blind, right, ids),
        model.saturation(leads(outcomes.clean, outcomes.labels), remedied, ids),
        strength.within_budget(
            {f"{name} at {epsilon_words(e)}": found.outside for (name, e), found in view.done.items()}, ids
        ),
        strength.unchanged(view.stuck(), ids),
    ]
    gradient = view.union(lambda attack: attack.knowledge == "white-box")
    checks.append(_noise(view, gradient))
    checks += [strength.grows(attack.name, view.won(attack.name)) for attack in view.single_steps()]
    checks += [_unbounded(view, ids), _iterative(view, ids), _converged(view, ids)]
    if iterating := [attack.name for attack in plan.attacks if attack.role == "attack" and "kept" in attack.parameters]:
        checks.append(strength.best_iterate(iterating))
    checks += [_gradient_free(view, gradient, ids), _eight_bit(view)]
    return checks


def verdict(checks: Sequence[Check]) -> Verdict:
    """Judge an audit without criteria: inconclusive where a check says that an attack may have failed."""
    if serious := [check for check in checks if check.status in ("FAIL", "ERROR")]:
        return Verdict(status="INCONCLUSIVE", reasons=[f"{check.title} {check.reason}" for check in serious])
    return Verdict(status="NONE", reasons=["No acceptance criteria were set before this audit."])


class _View:
    """The outcomes as the checks ask for them."""

    def __init__(self, outcomes: Outcomes, plan: Plan) -> None:
        self.outcomes, self.plan = outcomes, plan
        self.names = [attack.name for attack in plan.attacks]
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

    def union(self, keep: object) -> dict[float, NDArray[np.bool_]]:
        """Images that any attack in L-inf wins of those for which `keep` is true, by epsilon."""
        found: dict[float, NDArray[np.bool_]] = {}
        for attack in self.plan.attacks:
            if attack.norm == "L-inf" and attack.role != "probe" and keep(attack):  # type: ignore[operator]
                for e, mask in self.won(attack.name).items():
                    found[e] = found[e] | mask if e in found else mask
        return found

    def single_steps(self) -> list[Attack]:
        """Attacks that do not carry over what they won at a smaller epsilon."""
        return [
            attack
            for attack in self.plan.attacks
            if attack.role == "attack" and not attack.pursues and len(self.won(attack.name)) > 1
        ]

    def stuck(self) -> NDArray[np.bool_]:
        """Correctly classified images that an attack along the gradient left as they were, at every epsilon."""
        found = np.zeros(len(self.outcomes.labels), dtype=bool)
        for attack in self.plan.attacks:
            if attack.role == "attack" and attack.knowledge == "white-box" and attack.sweeps and not attack.minimal:
                for e in self.won(attack.name):
                    attacked = self.done[attack.name, e]
                    found |= attacked.concerned & self.outcomes.right & (attacked.distances.linf == 0)
        return found


def _noise(view: _View, gradient: dict[float, NDArray[np.bool_]]) -> Check:
    noise = view.won("noise")
    if not noise or not gradient:
        return skipped(
            "noise-control", "Are the attacks stronger than random noise?", "more than noise", _NOT_RUN.format("Noise")
        )
    return strength.noise_control(noise, gradient, view.outcomes.right)


def _unbounded(view: _View, ids: Sequence[str]) -> Check:
    found = view.done.get(("pgd-unbounded", 0.5))
    if found is None or not found.concerned.any():
        return skipped(
            "unbounded",
            "Does an attack win that may do nearly anything?",
            "accuracy at most the share of the largest class",
            _NOT_RUN.format("PGD"),
        )
    rows = found.concerned
    labels = view.outcomes.labels[rows]
    return strength.unbounded(
        found.predicted[rows] == labels,
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
            "FGSM and PGD were not both run; --suite standard runs them.",
        )
    return strength.iterative_beats_single_step(single, iterative, ids)


def _converged(view: _View, ids: Sequence[str]) -> Check:
    headline = view.plan.headline
    before, after = view.won("pgd"), view.won("pgd-longer")
    if headline not in before or headline not in after:
        return skipped("converged", "Had PGD taken enough steps?", "at most 0.5 points more", _NOT_RUN.format("PGD"))
    return strength.converged(before[headline], before[headline] | after[headline], headline, ids)


def _gradient_free(view: _View, gradient: dict[float, NDArray[np.bool_]], ids: Sequence[str]) -> Check:
    free = view.won("square")
    shared = sorted(set(free) & set(gradient))
    if not shared:
        return skipped(
            "gradient-free",
            "Is an attack that sees no gradient any better?",
            "at most 0.2 points more than the white-box attacks",
            _NOT_RUN.format("Square"),
        )
    rows = view.done["square", shared[0]].concerned
    return strength.gradient_free(
        {e: free[e][rows] for e in shared},
        {e: gradient[e][rows] for e in shared},
        [ids[i] for i in np.flatnonzero(rows).tolist()],
    )


def _eight_bit(view: _View) -> Check:
    headline, labels = view.plan.headline, view.outcomes.labels
    undone = {}
    for attack in view.plan.attacks:
        found = view.done.get((attack.name, headline))
        if attack.role == "attack" and found is not None and found.concerned.any():
            wrong = found.concerned & (found.predicted != labels)
            undone[attack.name] = int((wrong & (found.rounded == labels)).sum()), int(wrong.sum())
    if not undone:
        return skipped(
            "eight-bit", "Do the adversarial images survive being stored as files?", "all", "Every attack crashed."
        )
    return strength.eight_bit(undone, headline)
