"""The attacks, one module each; `ATTACKS` finds them by name."""

from auditor.attacks.fgsm import FGSM
from auditor.attacks.interface import Attack

#: Every attack that can be run, by name.
ATTACKS: dict[str, Attack] = {attack.name: attack for attack in (FGSM(),)}

__all__ = ["ATTACKS", "Attack"]
