"""TableSetup: creates tables that are missing, and brings tables of an older version up to date."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import CreateIndex, CreateTable, DDLElement

from batchops.db.database import Database
from batchops.errors import BatchopsError, RefusedError, TransientError
from batchops.ledger.grants import missing_grants
from batchops.ledger.migrations import Migration
from batchops.ledger.schema_changes import RenameTable, SchemaChange
from batchops.ledger.tables import version_table

State = Literal["absent", "older", "current"]
_ELSEWHERE = "name a schema of yours with --ledger-schema, or keep progress elsewhere: --ledger FILE, --ledger none"
FIRST = 1
"""The version of tables whose version is not recorded."""


class NewerLedgerError(RefusedError):
    """The tables are of a newer version than this batchops knows."""


class NoRightToLedgerError(RefusedError):
    """This role lacks the rights to use the tables."""


@dataclass(frozen=True)
class _Found:
    """What the catalog says: the tables that exist, their version, and the statements still to run."""

    there: frozenset[str]
    version: int | None
    missing: tuple[sa.Executable, ...]


class TableSetup:
    """Sets up the tables of `meta`, which are one part of a ledger; a part without migrations keeps no version."""

    def __init__(
        self, database: Database, meta: sa.MetaData, part: str = "", migrations: Sequence[Migration] = (),
        what: str = "the ledger's tables", elsewhere: str = _ELSEWHERE, changes: Sequence[SchemaChange] = (),
    ) -> None:  # fmt: skip
        """`what`: a name for the tables, for people. `elsewhere`: where else they may be kept, for a hint.

        `changes`: to older tables of a part that keeps no version.
        """
        self._database = database
        self._schema = meta.schema
        self._part = part
        self._what, self._elsewhere = what, elsewhere
        self._migrations = migrations
        self._unversioned = changes
        self._own = {table.name: table for table in meta.sorted_tables}
        self._versions = version_table(sa.MetaData(schema=meta.schema))
        self._newest = migrations[-1].version if migrations else FIRST
        self._tables = [*([self._versions] if migrations else ()), *self._own.values()]

    def ddl(self) -> list[str]:
        """Return the statements that a role with the rights still has to run; none if nothing is missing."""
        return [self._text(statement) for statement in self._look().missing]

    def exists(self, connection: sa.Connection) -> bool:
        """Whether the tables exist and are of the present version."""
        return self.state(connection) == "current"

    def state(self, connection: sa.Connection) -> State:
        """Return the state of the tables, by the catalog: to read tables that do not exist would fail a transaction."""
        found = self._found(connection)
        if found.version == self._newest:
            return "absent" if found.missing else "current"  # "absent": another first run may be creating them
        return "older" if found.there.intersection(self._own) else "absent"

    def database_id(self, connection: sa.Connection) -> str:
        """Return the random id that was made with the tables; it moves with the data."""
        query = sa.select(self._versions.c.database_id).where(self._versions.c.part == self._part)
        return str(connection.execute(query).scalar_one())

    def make(self) -> None:
        """Create the tables or bring them up to date; raise RefusedError with the SQL if this role may not."""
        found = self._look()
        while found.missing:
            found = self._change(found)
        if found.version != self._newest:
            self._fill_in(found.version or FIRST)

    def obstacle(self, role: str) -> RefusedError | None:
        """Return the error that keeps this role from using the tables, with the GRANTs and SQL that help; or None."""
        message = f'Role "{role}" may not use {self._what}.'
        try:
            found = self._look()
        except NoRightToLedgerError as error:
            message, found = error.message, _Found(frozenset(table.name for table in self._tables), self._newest, ())
        current = found.version == self._newest
        grants = missing_grants(self._database, self._tables, found.there, role, numbered=current)
        if not grants:
            return None
        given = "\n".join(("grant it:", *grants, "or"))
        if found.missing:
            return NoRightToLedgerError(message, f"{given} {self._ways_out(found)}")
        return NoRightToLedgerError(message, f"{given} {self._elsewhere}.")

    def _change(self, found: _Found) -> _Found:
        """Run the missing statements and return what is found then; another first run may be running them too."""
        try:
            with self._database.transaction() as connection:
                for statement in found.missing:
                    connection.execute(statement)
        except TransientError:
            raise
        except BatchopsError as error:
            now = self._look()
            if len(now.missing) >= len(found.missing):
                raise self._refused(now, error) from error
            return now
        return self._look()

    def _refused(self, found: _Found, error: BatchopsError) -> RefusedError:
        made = "brought up to date" if found.there.intersection(self._own) else "made"
        what = self._what[0].upper() + self._what[1:]
        return RefusedError(f"{what} cannot be {made} here: {error.message}", self._ways_out(found))

    def _ways_out(self, found: _Found) -> str:
        statements = "\n".join(f"{self._text(statement)};" for statement in found.missing)
        made = "brought up to date" if found.there.intersection(self._own) else "made"
        return f"have them {made} with the statements below, {self._elsewhere}.\n{statements}"

    def _fill_in(self, version: int) -> None:
        """Write what every role that uses the ledger may write: its id, what older rows lack, the version."""
        mine = self._versions.c.part == self._part
        with self._database.transaction() as connection:
            connection.execute(self._database.backend.own_tables.insert_once(self._versions).values(self._row(FIRST)))
        with self._database.reading() as connection:
            database_id = self.database_id(connection)
        for migration in self._after(version):
            migration.fill(self._database, self._own, database_id)
            reached = self._versions.update().where(mine, self._versions.c.version < migration.version)
            with self._database.transaction() as connection:
                connection.execute(reached.values(version=migration.version))

    def _after(self, version: int) -> list[Migration]:
        return [migration for migration in self._migrations if migration.version > version]

    def _look(self) -> _Found:
        with self._database.reading() as connection:
            return self._found(connection)

    def _found(self, connection: sa.Connection) -> _Found:
        there = self._there(connection)
        version = self._version(connection, there)
        changes = self._changes(sa.inspect(connection), version or FIRST)
        renamed = [change for change in changes if isinstance(change, RenameTable)]
        others = [change for change in changes if not isinstance(change, RenameTable)]
        missing = (
            *(change.statement(self._schema) for change in renamed),
            *self._creations(there - {one.old for one in renamed} | {one.table for one in renamed}),
            *(change.statement(self._schema) for change in others),
        )
        return _Found(there, version, missing)

    def _there(self, connection: sa.Connection) -> frozenset[str]:
        """Return the names of the tables that exist."""
        existing, versions = self._database.backend.catalog.existing, self._versions.name
        there = existing(connection, self._schema, [table.name for table in self._tables])
        if self._migrations and there and versions not in there:
            # It is created before the others or with them. Where a look is no snapshot it may see them alone, and
            # tables without a version look old.
            there |= existing(connection, self._schema, [versions])
        return there

    def _version(self, connection: sa.Connection, there: frozenset[str]) -> int | None:
        if not self._migrations:
            return FIRST
        if self._versions.name not in there:
            return None
        query = sa.select(self._versions.c.version).where(self._versions.c.part == self._part)
        try:
            version: int | None = connection.execute(query).scalar()
        except DBAPIError as error:
            translated = self._database.error(error)
            if not isinstance(translated, RefusedError):
                raise
            hint = "grant SELECT, INSERT, UPDATE and DELETE on the ledger's tables, or name others: --ledger-schema."
            raise NoRightToLedgerError(f"The ledger cannot be read: {translated.message}", hint) from error
        if version is not None and version > self._newest:
            raise NewerLedgerError(
                f"The ledger here was made by a newer batchops (version {version}; this one knows {self._newest}).",
                "use that batchops, or another ledger: --ledger-schema, --ledger FILE.",
            )
        return version

    def _row(self, version: int) -> dict[str, object]:
        return {"part": self._part, "version": version, "database_id": str(uuid.uuid4())}

    def _creations(self, there: frozenset[str]) -> Iterator[sa.Executable]:
        """Yield the statements that create missing tables; if none exists, the version first: so none looks old."""
        for table in self._tables:
            if table.name not in there:
                # IF NOT EXISTS: another first run may be creating it.
                yield CreateTable(table, if_not_exists=True)
                if table is self._versions and not there:
                    yield self._versions.insert().values(self._row(self._newest))
                yield from (CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name)))

    def _changes(self, inspector: sa.Inspector, version: int) -> list[SchemaChange]:
        changes = (*self._unversioned, *(one for migration in self._after(version) for one in migration.changes))
        return [change for change in changes if change.pending(inspector, self._schema)]

    def _text(self, statement: sa.Executable) -> str:
        assert isinstance(statement, DDLElement | sa.Insert)
        if isinstance(statement, DDLElement):
            text = str(statement.compile(self._database.engine))
        else:
            text = str(statement.compile(self._database.engine, compile_kwargs={"literal_binds": True}))
        return "\n".join(line.rstrip() for line in text.replace("\t", "  ").split("\n")).strip()
