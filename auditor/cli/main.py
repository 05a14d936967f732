"""The command `medaudit`: finds the command asked for, and turns errors into sentences and exit codes."""

from __future__ import annotations

import signal
import sys
import traceback
from importlib import import_module

import click

from auditor.cli.text import inert
from auditor.errors import AuditInterrupted, MedauditError

INTERRUPTED = 130
INTERNAL_ERROR = 70
#: As the shell has it for a program that SIGPIPE ends.
BROKEN_PIPE = 141

#: Module and short help of every command; a module is imported when its command is used.
_COMMANDS = {
    "run": ("auditor.cli.run", "Audit a model on a folder of test images."),
    "compare": ("auditor.cli.compare", "Compare versions of a model."),
    "inspect": ("auditor.cli.inspect", "Say what a model file is, and whether it is safe to load."),
    "train": ("auditor.cli.train", "Train the paper's VGG-19 on a folder of images."),
    "attacks": ("auditor.cli.attacks", "List the attacks that can be run."),
    "report": ("auditor.cli.report", "Draw the reports of an audit again."),
    "verify": ("auditor.cli.verify", "Check an audit's files, figures and signature."),
    "history": ("auditor.cli.history", "Show the trend over many audits."),
    "schema": ("auditor.cli.schema", "Print the JSON Schema of results.json."),
}


class _Commands(click.Group):
    """A group whose help needs none of the modules of its commands."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="medaudit")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.pass_obj
def cli(state: dict[str, bool], debug: bool) -> None:
    """Adversarial-robustness audits of medical image classifiers.

    \b
    medaudit train data/ -o model.h5     train the paper's VGG-19
    medaudit run model.h5 data/          audit it: HTML, PDF and JSON

    Exit codes: 0 finished, 1 a criterion of the policy failed, 2 bad usage or input, 3 inconclusive (a check says
    that an attack may have failed), 70 internal error, 130 interrupted.
    """  # noqa: D301 - \b is click's mark for a paragraph to leave as it is
    state["debug"] = debug


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    state = {"debug": False, "json": False}
    # A service manager stops a program with SIGTERM: it is to end as cleanly as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        code = cli.main(arguments, prog_name="medaudit", standalone_mode=False, obj=state)
    except click.ClickException as error:
        if state["json"]:
            code = _failed(error.format_message(), error.exit_code, state)
        else:
            error.show()
            code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        # click puts an Abort of its own in the place of any interruption.
        cause = error.__cause__ if isinstance(error, click.Abort) else error
        code = _failed(str(cause) if isinstance(cause, AuditInterrupted) else "interrupted.", INTERRUPTED, state)
    except SystemExit as error:
        # click and rich end with 1 when nobody reads on, which would say that a criterion failed.
        code = BROKEN_PIPE if error.code == 1 else error.code
    except MedauditError as error:
        code = _failed(str(error), error.exit_code, state)
    except Exception as error:  # noqa: BLE001 - the last resort of the command line
        message = f"internal error: {type(error).__name__}: {error} (run `medaudit --debug ...` for the details)"
        code = _failed(message, INTERNAL_ERROR, state)
    sys.exit(code if isinstance(code, int) else 0)


def _failed(message: str, code: int, state: dict[str, bool]) -> int:
    if state["debug"] and code != INTERRUPTED:
        traceback.print_exc()
    if state["json"]:
        from auditor.cli.terminal import listener

        listener("json").mark("error", "error", message=message, exit_code=code)
    else:
        click.echo(f"medaudit: {inert(message)}", err=True)
    return code
