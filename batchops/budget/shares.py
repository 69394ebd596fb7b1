"""The tables of budgets: their limits, and the runs that share them now, by the clock of the budgets' database."""

import json
import secrets
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from batchops.budget.address import LONGEST_NAME, BudgetAddress
from batchops.db.database import Database, connect
from batchops.db.types import KeyText
from batchops.errors import UsageError
from batchops.ledger.owner import this_process
from batchops.ledger.table_setup import TableSetup

LEASE = 10.0
"""Seconds after which a run that does not renew its share loses it to the others."""


@dataclass(frozen=True)
class Limits:
    """The limits of all runs of a budget together; None: no limit."""

    rate: float | None
    """Rows a second."""
    workers: int | None


@dataclass(frozen=True)
class Member:
    """A run that shares a budget."""

    token: str
    job: str
    """Its verb and table."""
    user: str
    host: str
    pid: int
    workers: int
    """How many workers the run wants."""


@dataclass(frozen=True)
class Share:
    """What one run of a budget may do now."""

    rate: float | None
    workers: int | None
    """The number of workers; 0: the other runs have all of them; None: no limit."""
    runs: int
    """How many runs share the budget."""


def share_of(limits: Limits, members: Sequence[Member], token: str) -> Share:
    """Return the share of the member with this token: the limits, divided equally.

    If there are more runs than workers, the runs that came first have one worker each, and the rate is divided among
    them.
    """
    place = next((n for n, member in enumerate(members) if member.token == token), len(members))
    runs = max(1, len(members))
    if limits.workers is None:
        return Share(limits.rate and limits.rate / runs, None, runs)
    each, more = divmod(limits.workers, runs)
    working = min(runs, limits.workers)
    return Share(limits.rate and limits.rate / working, each + (place < more), runs)


class Budgets:
    """The budgets in one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        meta = sa.MetaData()
        self._budgets = sa.Table(
            "batchops_budget", meta,
            sa.Column("name", KeyText(LONGEST_NAME), primary_key=True),
            sa.Column("rows_per_second", sa.Double),
            sa.Column("workers", sa.Integer),
        )  # fmt: skip
        self._shares = sa.Table(
            "batchops_budget_share", meta,
            sa.Column("budget", KeyText(LONGEST_NAME), primary_key=True),
            sa.Column("token", sa.String(32), primary_key=True),
            sa.Column("member", sa.Text, nullable=False),
            sa.Column("since", sa.Double, nullable=False),
            sa.Column("lease_until", sa.Double, nullable=False),
        )  # fmt: skip
        elsewhere = "keep the budget in another database"
        self._tables = TableSetup(database, meta, what="the tables of budgets", elsewhere=elsewhere)
        self._now = database.backend.own_tables.epoch

    def define(self, name: str, limits: Limits) -> None:
        """Make a budget or change its limits; the runs that share it follow within a second or two."""
        self._tables.make()
        values = {"rows_per_second": limits.rate, "workers": limits.workers}
        with self.database.transaction() as connection:
            made = self.database.backend.own_tables.insert_once(self._budgets).values(name=name, **values)
            if not connection.execute(made).rowcount:
                connection.execute(self._budgets.update().where(self._budgets.c.name == name).values(**values))

    def limits(self, name: str) -> Limits:
        """Return the limits of a budget; UsageError where there is none of that name."""
        with self.database.reading() as connection:
            return self._limits(connection, name)

    def members(self, name: str) -> tuple[Member, ...]:
        """Return the runs that share the budget now, in the order in which they joined."""
        with self.database.reading() as connection:
            return self._members(connection, name)

    def renew(self, name: str, member: Member) -> Share:
        """Join the budget or renew the member's lease, drop members whose lease has ended, and return the share."""
        shares, until = self._shares, self._now() + sa.literal(LEASE)
        mine = sa.and_(shares.c.budget == name, shares.c.token == member.token)
        with self.database.transaction() as connection:
            limits = self._limits(connection, name)
            if not connection.execute(shares.update().where(mine).values(lease_until=until)).rowcount:
                about = json.dumps({key: value for key, value in asdict(member).items() if key != "token"})
                joined = shares.insert().values(
                    budget=name, token=member.token, member=about, since=self._now(), lease_until=until
                )
                connection.execute(joined)
            ended = connection.execute(
                sa.select(shares.c.token).where(shares.c.budget == name, shares.c.lease_until < self._now())
            )
            for token in ended.scalars().all():  # by key: a DELETE by time would lock the rows of other members
                gone = shares.delete().where(shares.c.budget == name, shares.c.token == token)
                connection.execute(gone.where(shares.c.lease_until < self._now()))
            return share_of(limits, self._members(connection, name), member.token)

    def leave(self, name: str, member: Member) -> None:
        """Leave the budget: the others can use the member's share at once."""
        shares = self._shares
        with self.database.transaction() as connection:
            connection.execute(shares.delete().where(shares.c.budget == name, shares.c.token == member.token))

    def _limits(self, connection: sa.Connection, name: str) -> Limits:
        query = sa.select(self._budgets.c.rows_per_second, self._budgets.c.workers)
        there = self._tables.exists(connection)
        row = connection.execute(query.where(self._budgets.c.name == name)).first() if there else None
        if row is None:
            raise UsageError(
                f'There is no budget "{name}" in {self.database.address.shown}.',
                f"`batchops budget set {_location(self.database)}#{name} --rate 5000/s` makes it.",
            )
        return Limits(row.rows_per_second, row.workers)

    def _members(self, connection: sa.Connection, name: str) -> tuple[Member, ...]:
        shares = self._shares
        query = sa.select(shares.c.token, shares.c.member).where(
            shares.c.budget == name, shares.c.lease_until >= self._now()
        )
        rows = connection.execute(query.order_by(shares.c.since, shares.c.token))
        return tuple(Member(row.token, **json.loads(row.member)) for row in rows)


def _location(database: Database) -> str:
    """Return the database as `batchops budget set` takes it; a SQLite file by its path, which makes it if needed."""
    return database.address.bare.removeprefix("sqlite:///")


def this_member(job: str, workers: int) -> Member:
    """Return a new member for a job of this process."""
    here = this_process()
    return Member(secrets.token_hex(8), job, here.user, here.host, here.pid, workers)


@contextmanager
def budgets_at(address: BudgetAddress) -> Iterator[Budgets]:
    """The budgets of the database of `address`, which is closed after the block."""
    with closing(connect(address.database)) as database:
        yield Budgets(database)
