"""`medaudit inspect`: what a model is, and whether it is safe to load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from auditor.cli.terminal import printable
from auditor.errors import BadInputError
from auditor.models.inspection import inspect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.models.inspection import Inspection, Tensor

#: Findings that are printed one by one.
_LISTED = 20


@click.command()
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON, with every layer and finding.")
@click.pass_context
def command(context: click.Context, model: Path, as_json: bool) -> None:
    """Say what MODEL is and whether it is safe to load.

    MODEL is a Keras file (.h5 or .keras) or the folder of a TensorFlow SavedModel. It is read as data: nothing in it is
    executed. Exit code 2 says that something unsafe was found; `medaudit run` refuses such a model.
    """
    found = inspect(model)
    if as_json:
        click.echo(found.model_dump_json(indent=1))
    else:
        console = Console(highlight=False, soft_wrap=True)
        for line in _lines(found):
            console.print(printable(line))
    context.exit(0 if found.safe else BadInputError.exit_code)


def _lines(found: Inspection) -> Iterator[str]:
    yield f"Model       {found.path}"
    yield f"Format      {found.format}" + (f", written by {found.written_by}" if found.written_by else "")
    yield f"SHA-256     {found.sha256}"
    yield f"Size        {found.size:,} bytes, {found.parameters:,} weights"
    for title, ends in (("Input", found.inputs), ("Output", found.outputs)):
        for end in ends:
            yield f"{title:<12}{_tensor(end)}"
    if found.head:
        yield f"Last step   {found.head}"
    if found.layers:
        kinds: dict[str, int] = {}
        for layer in found.layers:
            kinds[layer.kind] = kinds.get(layer.kind, 0) + 1
        yield f"Layers      {len(found.layers)}: " + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    if found.safe:
        yield "Safe        nothing was found that loading would execute or reach for"
        return
    yield f"UNSAFE      {len(found.findings)} findings:" if len(found.findings) > 1 else "UNSAFE      1 finding:"
    for finding in found.findings[:_LISTED]:
        yield f"  {finding}"
    if len(found.findings) > _LISTED:
        yield "  and more; --json lists all."


def _tensor(end: Tensor) -> str:
    sizes = "" if end.shape is None else f" ({', '.join('any' if n is None else str(n) for n in end.shape)})"
    return f"{end.name}{sizes}" + (f", {end.dtype}" if end.dtype else "")
