"""`medaudit attacks`: list what can be run."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from auditor.attacks import ATTACKS, SUITES, suite
from auditor.attacks.interface import IDENTIFIERS
from auditor.settings import AuditSettings


@click.command()
def command() -> None:
    """List the attacks, the cheapest first, with suites, cost and references.

    The cost is the largest for one image over the default sweep of epsilon: predictions and gradients. Images that
    fall early cost less.
    """
    console = Console(highlight=False)
    sweep = AuditSettings().epsilons
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("attack", "suites", "norm", "knowledge", "predictions", "gradients", "images"):
        table.add_column(heading, justify="right" if heading in ("predictions", "gradients", "images") else "left")
    for name in suite("full"):
        attack = ATTACKS[name]
        cost = attack.cost(len(sweep))
        suites = ", ".join(member for member in SUITES if name in suite(member))
        images = str(attack.subset) if attack.subset else "all"
        table.add_row(
            name, suites, attack.norm, attack.knowledge, f"{cost.forwards:.0f}", f"{cost.gradients:.0f}", images
        )
    console.print(table)
    console.print()
    for name in suite("full"):
        attack = ATTACKS[name]
        atlas, nist = IDENTIFIERS[attack.knowledge]
        identifiers = f" [MITRE ATLAS {atlas}, NIST AI 100-2 {nist}]" if atlas else ""
        console.print(f"{name}: {attack.title}. {attack.reference}.{identifiers}", soft_wrap=True, markup=False)
