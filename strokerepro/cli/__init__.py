"""The `strokerepro` command: exit code 0 done, 1 failed, 2 wrong use; errors are one line."""

from __future__ import annotations

import errno
import sys
from collections.abc import Sequence

import typer

from strokerepro.cli import book, data, inspect, predict, run, transfer
from strokerepro.errors import InputError

_INTERRUPTED = 130  # what typer returns in place of the exception

app = typer.Typer(
    help="Five stroke-lesion-segmentation papers, reproduced literately and honestly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.add_typer(data.app, name="data")
app.add_typer(data.phantom_app, name="phantom")
app.command("run")(run.run)
app.command("predict")(predict.predict)
app.command("score")(predict.score)
app.command("transfer")(transfer.transfer)
app.command("show")(inspect.show)
app.command("compare")(inspect.compare)
app.command("book")(book.book)


@app.callback()
def _options(debug: bool = typer.Option(False, help="Show the traceback of an error.")) -> None:
    """Take the options that stand before the command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    given = [word for word in given if word != "--debug"]
    try:
        result = app(given, standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        result = _INTERRUPTED
    except Exception as error:
        if debug:
            raise
        _fail(*_describe(error))
    if result == _INTERRUPTED:
        _fail("interrupted; the same command continues where it stopped", 1)
    sys.exit(result if isinstance(result, int) else 0)


def _describe(error: Exception) -> tuple[str, int]:
    """One line and the exit code for an error."""
    if isinstance(error, InputError):
        return str(error), error.exit_code
    if hasattr(error, "format_message"):  # click's own, whether typer vendors click or not
        return f"{error.format_message()} (try `strokerepro --help`)", 2
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        where = f" for {error.filename}" if error.filename else ""
        return f"got a full disk{where}; expected free space; fix: free some and run again", 1
    if isinstance(error, OSError):
        reason = error.strerror or str(error)
        name = f" {error.filename}" if error.filename else ""
        return f"got {reason.lower()}:{name}; expected a usable file; fix: check the path", 1
    line = " ".join(str(error).split()) or "no message"
    return f"{type(error).__name__}: {line}; fix: --debug shows where, please report it", 1


def _fail(line: str, code: int) -> None:
    print(f"strokerepro: {' '.join(line.split())}", file=sys.stderr)
    sys.exit(code)
