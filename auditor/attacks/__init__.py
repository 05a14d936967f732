"""The attacks; `ATTACKS` finds them by name.

A module of this package that has a tuple `ATTACKS` adds its attacks: to add one is to add a file.
"""

from importlib import import_module
from pkgutil import iter_modules

from auditor.attacks.interface import Arena, Attack

_modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]

#: Every attack by name, those of the checks among them.
EVERY: dict[str, Attack] = {attack.name: attack for module in _modules for attack in getattr(module, "ATTACKS", ())}

#: Every attack that can be chosen, by name.
ATTACKS: dict[str, Attack] = {name: attack for name, attack in EVERY.items() if attack.role == "attack"}

#: Names of the suites.
SUITES = ("quick", "standard", "full")


def suite(name: str) -> tuple[str, ...]:
    """Names of the attacks of a suite, the cheapest first."""

    def price(attack: Attack) -> tuple[float, str]:
        cost = attack.cost(1)
        return cost.forwards + 2 * cost.gradients, attack.name

    return tuple(attack.name for attack in sorted(ATTACKS.values(), key=price) if name in attack.suites)


__all__ = ["ATTACKS", "EVERY", "SUITES", "Arena", "Attack", "suite"]
