"""The command line: the commands with their one-line helps, and main(), which turns errors into exit codes."""

import atexit
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import rich_click as click
from click.exceptions import Exit as ClickExit

from batchops.cli.lazy_group import LazyGroup
from batchops.errors import BatchopsError, Exit
from batchops.verbs import RECIPE_VERBS
from batchops.version import __version__

COMMANDS = {
    **RECIPE_VERBS.summaries,
    "outbox": "Create an outbox, show it, verify its order, send events again.",
    "run": "Run the jobs of a recipe, one after another.",
    "schedule": "Run the jobs of recipes at their times, until stopped.",
    "recipe": "Check recipes, print their JSON schema, write one from a command line.",
    "queue": "Prepare a table for drain, show its state, redrive failed rows.",
    "check": "Check whether a job is safe and fast. Changes nothing.",
    "orphans": "Count rows whose parent row is gone; delete them in batches.",
    "strategies": "List the strategies, and what each needs.",
    "throttles": "List what a run on this database can wait for, with the values now.",
    "budget": "Set or show a rate and a number of workers that several runs share.",
    "demo": "Create a SQLite file with a million rows and purge half of them.",
    "runs": "List the runs in a ledger.",
    "show": "Show one run: its progress, its end, how to continue.",
    "pause": "Pause runs: no further batch until they are resumed.",
    "resume": "Resume runs that are paused.",
    "stop": "Stop runs after the batch in progress.",
    "cancel": "Stop runs at once: the batch in progress is rolled back.",
    "set": "Change settings of runs while they work.",
    "completion": "Print a shell script that completes commands, tables, columns, recipes and runs.",
    "ledger": "Print, create or prune the tables of the ledger.",
    "help": "Explain a topic: strategies, checks, resume, delivery, recipes, exit codes and more.",
}

MEMORY = ("ARROW_DEFAULT_MEMORY_POOL", "system")
"""Arrow's own allocator keeps 40 MB for later, which batchops does not need; as a library it leaves that alone."""
M_MMAP_THRESHOLD = -3
"""Of malloc.h."""
LARGE_BLOCK = 4 << 20
"""Bytes of a block of memory that is given back as soon as it is free. glibc would raise its own limit to 32 MB when it
meets such blocks, and then keeps most of them: rows of megabytes took 60 MB more."""
COLLECTED = 50_000
"""New objects after which Python looks for cycles: rows make none, and with the default of 700 it looks too often."""


@click.group(
    cls=LazyGroup,
    commands_by_name=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: batchops demo",
)
@click.version_option(__version__, "-V", "--version", prog_name="batchops")
def cli() -> None:
    """Delete, update and deliver rows of a live database in small transactions.

    A run resumes after a crash, limits its load, and is nearly as fast as one big statement.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; every error ends in an exit code and never in a traceback."""
    from batchops.cli.command_state import CommandState

    words, state = list(sys.argv[1:] if arguments is None else arguments), CommandState()
    gc.set_threshold(COLLECTED)
    os.environ.setdefault(*MEMORY)
    _give_back_large_blocks()
    try:
        code = cli.main(words, prog_name="batchops", standalone_mode=False, obj=state)
    except ClickExit as ended:
        code = ended.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        if error.__cause__ is None:  # otherwise click has written it
            click.echo(err=True)  # the terminal has echoed ^C
        # After the end of a run, Ctrl-C only interrupts what would have been sent about it.
        interrupted = BatchopsError(state.interrupted)
        code = _report(words, interrupted, "signal", Exit.INTERRUPT) if state.code is None else state.code
    except click.ClickException as error:
        from batchops.cli.error_output import usage_error

        usage = usage_error(error)
        code = _report(words, usage, usage.reason, usage.exit)
    except BatchopsError as error:
        code = _report(words, error, error.reason, error.exit) if state.code is None else state.code
    except BrokenPipeError:
        code = state.code or Exit.DONE
    except Exception as error:
        if os.environ.get("BATCHOPS_DEBUG"):
            raise
        code = _report(words, _bug(error), "failed", Exit.FAILED) if state.code is None else state.code
    _leave(int(code or 0))


def _give_back_large_blocks() -> None:
    with suppress(AttributeError):  # only glibc has it
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)


def _bug(error: Exception) -> BatchopsError:
    return BatchopsError(f"{type(error).__name__}: {error}", "this is a bug; BATCHOPS_DEBUG=1 shows where.")


def _report(words: Sequence[str], error: BatchopsError, reason: str, code: int) -> int:
    from batchops.cli.error_output import report_error

    report_error(cli, words, error, reason, code)
    return code


def _leave(code: int) -> NoReturn:
    """Exit with the code, also if the reader of a stream has gone away, and without Python's own message then."""
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # a SIGINT now would print a traceback
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (BrokenPipeError, ValueError, OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)
