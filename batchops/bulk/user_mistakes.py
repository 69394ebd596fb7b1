"""Turns errors of the server that the user's own SQL causes into usage errors."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from batchops.bulk.failing_condition import HINT
from batchops.bulk.spec import BulkSpec
from batchops.errors import BatchopsError, MissingCodeError, NotFoundError, RowRefusedError, UsageError


@contextmanager
def mistakes_named(spec: BulkSpec) -> Iterator[None]:
    """Raise UsageError for an error of the server that the user's own SQL causes."""
    try:
        yield
    except MissingCodeError as error:
        raise _names_missing_code(spec, error) from error
    except NotFoundError as error:
        if not isinstance(error.__cause__, DBAPIError):
            raise  # the job's own table
        raise _names_missing_table(spec, error) from error
    except RowRefusedError as error:  # a literal that does not fit its column, or what fails on a row
        raise UsageError(f"The condition or a value fails: {error.message}", HINT) from error


def _names_missing_code(spec: BulkSpec, error: MissingCodeError) -> BatchopsError:
    """Return a UsageError if the user's own SQL names the missing function or collation; else the error itself."""
    name = error.message.rpartition(":")[2].strip(" .")
    texts = (spec.where or "", *spec.assignments)
    if any(name.lower() in text.lower() for text in texts):
        return UsageError(f"There is no function or collation {name}.", "check the condition and --set.")
    return error


def _names_missing_table(spec: BulkSpec, error: NotFoundError) -> UsageError:
    return UsageError(
        f"The condition or a value names a table that is not there: {error.message}",
        f"{spec.table} has no alias here: write its columns alone, or as {spec.table}.column; other tables go into "
        "a sub-select.",
    )
