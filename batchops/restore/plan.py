"""The plan of a restore: which rows go where, what is left out, and the refusals."""

from collections.abc import Iterator, Sequence

import sqlalchemy as sa

from batchops.archive.column_match import match
from batchops.archive.contents import Contents
from batchops.archive.records import ArchivedTable
from batchops.db.database import Database
from batchops.db.exact_columns import ExactColumn
from batchops.db.facts import fired_by
from batchops.db.recorded_statements import Rehearsed
from batchops.db.row_loading import replaced
from batchops.db.table import Table
from batchops.reporters.figures import count, counted
from batchops.restore.create import new_table, untaken
from batchops.restore.dropped_partitions import partition_warnings
from batchops.restore.found import Found, condition_of, key_of
from batchops.restore.previous import Work
from batchops.restore.spec import RestoreSpec
from batchops.runtime.refusal import Refusal
from batchops.spec.loop_throttles import throttle_facts
from batchops.spec.verb import FactsPlan, Verb
from batchops.throttles.chosen import ChosenThrottle

ORDER = "archive"
"""The strategy that a restore reports: rows are read in the archive's order."""
_READ_BACK = "some differ: each value is read back before it is in the table, and refused if it changed"
_CONFLICTS = {
    "fail": "the run ends at a row whose key is in the table",
    "skip": "a row whose key is in the table is left as it is",
    "replace": "a row whose key is in the table gets the archived values",
}

Facts = list[tuple[str, str]]


def plan_of(
    connection: sa.Connection, verb: Verb, spec: RestoreSpec, database: Database, found: Sequence[Found],
    inside: Contents, work: Work, watched: Sequence[ChosenThrottle],
) -> FactsPlan:  # fmt: skip
    """Return the plan: the facts, warnings and refusals of the restore."""
    refusals: list[Refusal] = []
    about: Facts = []
    for one in found:
        against, facts = (
            _about_new(spec, database, one) if one.table is None
            else _about_table(connection, spec, database, one, one.table, work)
        )  # fmt: skip
        refusals += [refusal for refusal in against if refusal not in refusals]
        about += facts if len(found) == 1 else [(name, f"{one.into}: {text}") for name, text in facts]
    behind: Facts = [("conflicts", _CONFLICTS[spec.on_conflict])]
    behind += _order(found, work) if work.rows or work.nulled else []
    if work.continues and work.last is not None:
        behind.append(("continues", f"run {work.last.run}, {count(work.last.read)} rows read"))
    behind += throttle_facts(spec, watched)
    before: Facts = [("database", database.address.shown), *_rows(found, work)]
    warnings = [f"Rows of earlier runs are not restored: {one}." for one in inside.pruned_runs(spec.of_run)]
    warnings += [text for one in found for text in _warnings(connection, spec, database, one, inside, work)]
    return FactsPlan(
        verb, label_of_all(found), ORDER, (*before, *about, *behind),
        (*database.address.warnings, *dict.fromkeys(warnings)),
        lambda: _first_statements(database, found), question=_question(work, found), refusals=tuple(refusals),
    )  # fmt: skip


def label_of_all(found: Sequence[Found]) -> str:
    """Return the label of a restore: its table, or the first of several and the number of others."""
    first, *others = found
    return f"{first.into} and {counted(len(others), 'other')}" if others else first.into


def _rows(found: Sequence[Found], work: Work) -> Facts:
    """Return the facts about the archive, the rows, and the tables to restore into."""
    files = counted(len(work.segments) - work.place.segment, "file")
    rows = "rows", f"{count(work.rows)} in {files}"
    if len(found) == 1:
        (one,) = found
        into = one.into if one.table is not None else f"{one.into}, a new table"
        return [("from", f"{one.destination.shown}: {one.label}"), rows, ("into", into)]
    return [
        ("from", found[0].destination.shown),
        rows,
        ("tables", "; ".join(_table(one) for one in found if one.segments)),
    ]


def _table(one: Found) -> str:
    into = "" if one.into == one.label else f" into {one.into}"
    new = ", a new table" if one.table is None else ""
    return f"{one.label}: {counted(sum(part.rows for part in one.segments), 'row')}{into}{new}"


def _order(found: Sequence[Found], work: Work) -> Facts:
    """Return the facts about the order of the rows, and about columns that are set later."""
    facts: Facts = []
    if sum(bool(one.segments) for one in found) > 1:
        facts.append(("order", "table after table, as listed: each behind those that it refers to"))
    if work.nulled:
        values = counted(sum(one.rows for one in work.nulled), "reference")
        tables = ", ".join(dict.fromkeys(one.table.label for one in work.nulled))
        facts.append(("set again", f"{values} of {tables} that the archive set to NULL, where they are NULL still"))
    for label, names in work.later.items():
        facts += [("later", f"{label}.{name}: NULL until the rows of all tables are there") for name in names]
    for label, references in work.references.items():
        by = "; ".join(", ".join(one.columns) for one in references)
        of = f"{label}: " if len(found) > 1 else ""
        facts.append(("order", f"{of}each row behind those that it refers to by {by}, from a file in TMPDIR"))
    return facts


def dropped(spec: RestoreSpec, archived: ArchivedTable, columns: Sequence[ExactColumn], label: str) -> list[Refusal]:
    """Return the refusal of archived columns that the target does not have; none with --drop-columns."""
    names = {column.name for column in columns}
    gone = [one.name for one in archived.columns if one.name not in names and not one.generated]
    if not gone or spec.drop_columns:
        return []
    message = f'"{label}" has no column {", ".join(gone)}, which was archived.'
    return [Refusal("columns", message, "--drop-columns leaves it out; --into another table keeps it.")]


def _question(work: Work, found: Sequence[Found]) -> str:
    return "" if work.done else f"Restore {counted(work.rows, 'row')} into {label_of_all(found)}?"


def _first_statements(database: Database, found: Sequence[Found]) -> list[Rehearsed]:
    made = []
    for one in found:
        if one.table is None:
            statement = new_table(one.whole, one.schema, one.name, database.backend.row_loading)
            text = str(statement.compile(dialect=database.engine.dialect))
            made.append(Rehearsed("create", " ".join(text.split()), ()))
    return made


def _warnings(
    connection: sa.Connection, spec: RestoreSpec, database: Database, found: Found, inside: Contents, work: Work
) -> Iterator[str]:  # fmt: skip
    runs = sorted(run for run in inside.unlisted_runs if any(one.run == run for one in found.segments))
    for run in runs:
        yield f"Run {run} has no manifest: it crashed or is at work. What it has sealed is restored."
    copies = sorted({one.run for one in found.segments if one.kept})
    if copies and len({one.run for one in found.segments}) > 1:
        names = ", ".join(map(str, copies))
        yield f"Copied by --keep: run {names}. Other runs may hold the same rows: --of-run N restores those of one."
    if undecided := [one for one in found.segments if one.undecided]:
        rows = counted(sum(one.rows for one in undecided), "row")
        yield (
            f"{rows} in {counted(len(undecided), 'file')} may never have been deleted: their run crashed or is at "
            "work. They come last, and none replaces a row; run the same archive command first to decide it."
        )
    if found.table is None:
        return
    yield from partition_warnings(connection, database, found, inside)
    if triggers := database.backend.row_loading.triggers(connection, found.table):
        yield f'An INSERT into "{found.table.label}" sets off triggers: {", ".join(triggers)}.'
    if updated := _updated(spec, found, found.table, work):
        guards = database.backend.facts.guards(connection, [found.table])[found.table.schema, found.table.name]
        names = ", ".join(dict.fromkeys(one.name for one in fired_by(guards.triggers, "UPDATE", updated)))
        if names:
            yield f'An UPDATE of "{found.table.label}" sets off triggers: {names}.'


def _updated(spec: RestoreSpec, found: Found, table: Table, work: Work) -> set[str]:
    """Return the columns that the restore may set in rows which are in the table."""
    names = {*work.later.get(found.label, ())}
    names.update(name for one in work.nulled if one.table.label == found.label for name in one.table.nulled)
    key = key_of(table, found.archived)
    if spec.on_conflict == "replace" and key and found.segments:
        names.update({*table.writable_names}.intersection(one.name for one in replaced(found.archived.columns, key)))
    return names


def _about_new(spec: RestoreSpec, database: Database, found: Found) -> tuple[list[Refusal], Facts]:
    refusals = [*untaken(found.whole, database.backend.row_loading)]
    condition_of(spec, database, found.into, found.archived)
    return refusals, []


def _about_table(
    connection: sa.Connection, spec: RestoreSpec, database: Database, found: Found, table: Table, work: Work
) -> tuple[list[Refusal], Facts]:  # fmt: skip
    """Return the refusals and the facts about an existing table and the archived columns."""
    if table.kind not in ("table", "partitioned"):
        return [Refusal("table", f'"{table.label}" is a {table.kind}.', "name a table with --into.")], []
    refusals: list[Refusal] = []
    facts: Facts = []
    columns = database.backend.exact_columns.columns(connection, table)
    for archived in found.tables:
        matched, against = match(archived, table, columns, database.backend.row_loading)
        against += dropped(spec, archived, columns, table.label)
        refusals += [one for one in against if one not in refusals]
        said = [("left out", ", ".join(matched.dropped)), ("defaults", ", ".join(matched.defaulted))]
        said += [] if matched.as_it_was else [("types", _READ_BACK)]
        facts += [(name, text) for name, text in said if text and (name, text) not in facts]
    if any(one.undecided for one in found.segments) and not key_of(table, found.archived):
        message = (
            f'Rows may be restored twice into "{table.label}", which has no key of archived, not generated columns.'
        )
        refusals.append(Refusal("key", message, "run the same archive command first: it decides which rows count."))
    if not all(key_of(table, one.table) for one in found.nulled):
        message = f'Values of "{table.label}" are to be set again, which has no key that was archived with them.'
        refusals.append(Refusal("key", message, "add its primary key again."))
    fixed = database.backend.row_loading.unchangeable(connection, table) if spec.on_conflict == "replace" else ()
    if names := [*_updated(spec, found, table, work).intersection(fixed)]:
        message = (
            f'--on-conflict replace: "{table.label}" takes no other value of {", ".join(names)} (GENERATED ALWAYS).'
        )
        hint = f"ALTER TABLE … ALTER {names[0]} SET GENERATED BY DEFAULT allows it; --on-conflict skip needs no UPDATE."
        refusals.append(Refusal("columns", message, hint))
    if spec.on_conflict != "fail" and found.segments and not key_of(table, found.archived):
        facts.append(("no key", "its archived rows are inserted, whatever rows are there"))
        refusals += _doubled(connection, spec, table, work)
    condition_of(spec, database, table.label, found.archived)
    return refusals, facts


def _doubled(connection: sa.Connection, spec: RestoreSpec, table: Table, work: Work) -> Iterator[Refusal]:
    """Yield the refusal of a table without a key that may have some of the rows already, which nothing can tell."""
    without = f'--on-conflict {spec.on_conflict}: "{table.label}" has no key of archived, not generated columns, and'
    if spec.ledger is not None:
        why = "a batch may be repeated, as the ledger is elsewhere: its rows would be there twice."
        yield Refusal("key", f"{without} {why}", "add a primary key, or leave --ledger out.")
        return
    again = not work.continues and not work.first
    if again and connection.execute(sa.select(sa.literal(1)).select_from(table.clause).limit(1)).first() is not None:
        why = "has rows: those that were restored already cannot be told from the others."
        hint = "empty it, or add a primary key; --table restores the other tables, one after the other."
        yield Refusal("key", f"{without} {why}", hint)
