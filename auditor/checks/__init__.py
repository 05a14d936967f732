"""Was it a fair fight? Checks that tell a robust model from a failed attack.

Each check is a pure function of what was measured and returns a `Check` with its figure, its threshold and its
reason. Sources: Carlini et al. 2019 (arXiv:1902.06705), Croce and Hein 2020 (AutoAttack, arXiv:2003.01690),
Pintor et al. 2022 (Indicators of attack failure, arXiv:2106.09947), and the gradient check of ART; thresholds
without a source are ours.
"""

from auditor.checks.gather import check_all, foreseen

__all__ = ["check_all", "foreseen"]
