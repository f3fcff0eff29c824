"""The entry point: every command, and errors as one line and an exit code."""

import codecs
import gc
import io
import os
import sys

import click

from hpo.cli import (  # noqa: F401  # they register themselves
    best,
    checking,
    housekeeping,
    looking,
    sending,
    serving,
    starting,
    steering,
    training,
)
from hpo.cli.options import complain, hpo
from hpo.errors import BAD_INPUT, DONE, INTERRUPTED, STOPPED, HPOError, InputError
from hpo.text import clean


def main() -> None:
    """Run a command; exit with 0, 1 (stopped), 2 (bad input), or 130 (interrupted)."""
    if "--inline" in sys.argv or sys.argv[1:2] == ["evaluate"]:  # it trains in this process
        from hpo.process_state import fix_hash_seed

        fix_hash_seed()
    gc.set_threshold(50_000)  # at Python's 700, a tenth of a command's time is the collector's
    _prepare_streams()
    try:
        hpo.main(prog_name="hpo", standalone_mode=False)
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(shown)
        click.echo(clean(shown.getvalue()), err=True, nl=False)  # it quotes the command line
        sys.exit(BAD_INPUT)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(DONE)
    except InputError as error:
        complain(error)
        sys.exit(BAD_INPUT)
    except HPOError as error:
        complain(error)
        sys.exit(STOPPED)
    except OSError as error:  # a full disk, a folder that cannot be written
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        what = f"{error.filename}: " if error.filename else ""
        complain(HPOError(
            f"{what}{error.strerror or error}; fix it, then run the same command to resume"
        ))
        sys.exit(STOPPED)
    finally:
        gc.freeze()  # to search hundreds of thousands of objects for cycles delays the exit


def _prepare_streams() -> None:
    """Let nothing that is printed end the command: names in any script, or a stream that is closed.

    In a locale that knows only ASCII Python takes UTF-8, unless it is told not to: then neither
    files nor studies of other names could be named, and this process starts once more with it.
    """
    only_ascii = codecs.lookup(sys.getfilesystemencoding()).name == "ascii"
    if only_ascii and os.environ.get("PYTHONUTF8") != "1":
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass  # else the next file that is opened, such as the record, would be printed into
    os.close(descriptor)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
