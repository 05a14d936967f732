"""Options from a TOML file and from the environment: flags win over variables, variables over the file."""

from __future__ import annotations

import csv
import io
import json
import tomllib
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from auditor.cli.terminal import OPTIONS
from auditor.cli.text import inert
from auditor.comparison.versions import inherited
from auditor.epsilon import exact_epsilon
from auditor.errors import BadInputError, nearest
from auditor.record import FILE_NAME, read_record
from auditor.settings import AuditSettings

#: Settings of an audit by the options that are called otherwise.
_FIELDS = {option: setting for setting, option in OPTIONS.items()}


class ConfigurableCommand(click.Command):
    """A command each option of which can stand in a TOML file or in a variable `MEDAUDIT_<OPTION>` as well.

    Adds `--config` and `--print-config`.
    """

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        for option in self.params:
            if isinstance(option, click.Option):
                option.envvar = variable(option)
        self.params += [
            click.Option(
                ["--config"],
                type=click.Path(path_type=Path),
                is_eager=True,
                expose_value=False,
                callback=_read,
                envvar="MEDAUDIT_CONFIG",
                help=f"TOML file with a table [{self.name or 'command'}] of options, named as here. Variables such as "
                "MEDAUDIT_EPS win over it, and flags over both.",
            ),
            click.Option(
                ["--print-config"],
                is_flag=True,
                expose_value=False,
                callback=_remember,
                help="Print what is in force and where each value came from, and do nothing else.",
            ),
        ]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, or print what it would be run with."""
        if not ctx.meta.get("medaudit.print"):
            return super().invoke(ctx)
        click.echo("\n".join(map(inert, in_force(ctx))))
        return None


def key(parameter: click.Parameter) -> str:
    """Name of an option or an argument in a file: its long flag without the dashes."""
    flags = [flag for flag in parameter.opts if flag.startswith("--")]
    return flags[0].removeprefix("--") if flags else str(parameter.name)


def variable(parameter: click.Parameter) -> str:
    """Variable of the environment that an option is read from."""
    return "MEDAUDIT_" + key(parameter).replace("-", "_").upper()


def given_options(context: click.Context) -> list[str]:
    """Names of the parameters that stand on the command line itself."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source is ParameterSource.COMMANDLINE]


def in_force(context: click.Context) -> list[str]:
    """What a command would be run with, as the lines of a file for `--config`, each with where its value came from."""
    lines = [f"[{context.info_name}]"]
    before = _baseline(context)
    taken = inherited(read_record(before)) if before else {}
    defaults = AuditSettings(**taken)
    for parameter in context.command.params:
        name = key(parameter)
        if parameter.name not in context.params or name in ("help", "print-config"):
            continue
        value, source = context.params[parameter.name], context.get_parameter_source(parameter.name)
        words = {
            ParameterSource.COMMANDLINE: "command line",
            ParameterSource.ENVIRONMENT: f"variable {variable(parameter)}",
            ParameterSource.DEFAULT_MAP: f"file {context.meta.get('medaudit.config')}",
        }.get(source or ParameterSource.DEFAULT, "default")
        field = _FIELDS.get(name, name)
        # A suite stands for its attacks.
        if value in (None, ()) and not (name == "attack" and context.params.get("suite")):
            value = getattr(defaults, field, None)
            words = f"baseline {before}" if field in taken else words
        value = None if value == () else value
        lines.append(f"# {name} is not set" if value is None else f"{name} = {_toml(name, value)}  # {words}")
    return lines


def _baseline(context: click.Context) -> Path | None:
    """The audit from which options are taken that are not given: `--baseline`, or the first version to compare."""
    versions = context.params.get("versions") or ()
    found: Path | None = context.params.get("baseline")
    return found or next((version for version in versions if (version / FILE_NAME).is_file()), None)


def _toml(name: str, value: Any) -> str:
    """Write a value as the option of that name is read."""
    if name == "eps":
        value = ",".join(map(exact_epsilon, value))
    elif name == "critical":
        value = ":".join(value)
    # Of these kinds of values, JSON is TOML.
    return json.dumps([str(part) for part in value] if isinstance(value, tuple) else value, default=str)


def _remember(context: click.Context, option: click.Parameter, value: bool) -> None:
    del option
    context.meta["medaudit.print"] = value


def _read(context: click.Context, option: click.Parameter, path: Path | None) -> None:
    """Make the values of a file the defaults of the command."""
    del option
    if path is None:
        return
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"The configuration {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # a ValueError, and not TOML's: a number of 5000 digits
        raise BadInputError(f"The configuration {path} is no TOML: {error}.") from error
    table = tables.get(context.info_name or "", {})
    strangers = [name for name, value in tables.items() if not isinstance(value, dict)]
    if strangers or not isinstance(table, dict):
        raise BadInputError(f"{path}: options stand below the name of their command, here [{context.info_name}].")
    known = {key(parameter): parameter for parameter in context.command.params if parameter.name != "config"}
    values = {}
    for given, value in table.items():
        name = given.replace("_", "-")
        if name not in known:
            raise BadInputError(f"{path}: {context.info_name} has no option {given!r}{nearest(name, list(known))}.")
        values[str(known[name].name)] = _value(value, known[name], f"{path}: {given}")
    context.default_map = values
    context.meta["medaudit.config"] = path.name


def _value(value: Any, parameter: click.Parameter, place: str) -> Any:
    """Bring a value to what the command line would hold."""
    if isinstance(value, dict):
        raise BadInputError(f"{place} is a table; a value is needed.")
    flag = isinstance(parameter, click.Option) and parameter.is_flag
    if isinstance(value, bool) != flag:
        raise BadInputError(f"{place} is {'true or false' if flag else 'not true or false'}.")
    several = parameter.nargs == -1 or getattr(parameter, "multiple", False)
    if several:
        return [str(part) for part in value] if isinstance(value, list) else [str(value)]
    if isinstance(value, list):
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow(value)
        return line.getvalue()
    return value if flag else str(value)
