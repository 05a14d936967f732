"""How gradient attacks are pursued: restarts kept for each image, bfloat16 first, float32 after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from auditor.attacks.interface import Arena
    from auditor.models.estimator import LogitsClassifier, Loss


def pursue(
    arena: Arena,
    make: Callable[[LogitsClassifier, int], Any],
    *,
    restarts: int,
    loss: Loss = "cross-entropy",
    target: int | None = None,
) -> NDArray[np.float32]:
    """Run an iterative attack of ART's until it has won every standing image, or its restarts are used up.

    Every restart is of ART's making; between two, the float32 model judges. Where bfloat16 is allowed, all
    restarts are run with its gradients first, and the images that survive them are attacked again with float32
    gradients from the same starting points as if nothing had happened: the attack is on no image weaker than
    that of float32 alone.

    ART is always given every image that the model classifies correctly, so that an image's starting point does
    not depend on which others are left; those that need no attack cost nothing (`Trail`).

    Args:
        arena: the batch.
        make: makes the attack.
        restarts: number of random starts.
        loss: what the gradients are of.
        target: the class that images are to be taken for; None for any wrong one.
    """
    adversarial = arena.images.copy()
    standing = arena.standing & arena.right
    for coarse in (True, False) if arena.coarse else (False,):
        estimator = arena.estimator(loss, coarse=coarse)
        rows = np.flatnonzero(arena.right)
        if coarse:
            # ART's APGD leaves out the images that the estimator itself gets wrong; they wait for float32.
            rows = rows[estimator.predict(arena.images[rows], len(arena.images)).argmax(axis=1) == arena.labels[rows]]
        x, labels = arena.images[rows], arena.labels[rows]
        aims = np.eye(arena.subject.outputs, dtype=np.float32)[labels if target is None else np.full(len(rows), target)]
        for restart in range(restarts):
            if not standing[rows].any():
                break
            with arena.seeded(restart), estimator.trail(labels, ~standing[rows], target) as trail:
                last = make(estimator, len(rows)).generate(x, aims)
            left = np.flatnonzero(standing[rows])
            candidates = np.array([trail.found.get(i, last[i]) for i in left.tolist()], np.float32)
            won = arena.errs(candidates, rows[left], target)
            adversarial[rows[left]] = candidates
            standing[rows[left[won]]] = False
    return adversarial
