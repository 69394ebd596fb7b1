"""A role with the rights for exactly what is read and written may work; one without is told which one, by GRANT."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import make_url

from tests.command import Result
from tests.outbox.boxes import event, left, made, saved
from tests.queue.jobs import DRAIN, here, jobs, leased
from tests.services.database import Database

pytestmark = pytest.mark.in_turn

LEASE = "lease, lease_until, attempts, next_at, failure"
READ = "id, status, n, payload"


@dataclass(frozen=True)
class Person:
    """A role of its own on a server that knows roles."""

    server: Database
    name: str

    @property
    def account(self) -> str:
        return f"'{self.name}'@'%'" if self.server.backend == "mysql" else f'"{self.name}"'

    @property
    def url(self) -> str:
        return make_url(self.server.url).set(username=self.name, password="x").render_as_string(hide_password=False)

    def may(self, *grants: str) -> None:
        for grant in grants:
            self.server.execute(f"GRANT {grant} TO {self.account}")


@pytest.fixture(params=["postgresql", "mariadb"])
def person(request: pytest.FixtureRequest) -> Iterator[Person]:
    server: Database = request.getfixturevalue(request.param)
    person = Person(server, f"p_{server.name}"[-32:])
    mysql = server.backend == "mysql"
    who = person.account
    server.execute(f"CREATE USER {who} IDENTIFIED BY 'x'" if mysql else f"CREATE ROLE {who} LOGIN PASSWORD 'x'")
    yield person
    server.execute(f"DROP USER {who}" if mysql else f"DROP OWNED BY {who}")
    if not mysql:
        server.execute(f"DROP ROLE {who}")


def drain(person: Person, *args: str) -> Result:
    return here("drain", "jobs", "--url", person.url, *DRAIN, "--call", "tests.queue.functions:noop", "--json", *args)


def test_a_drain_needs_no_more_than_the_columns_it_writes(person: Person) -> None:
    jobs(person.server, 20)
    leased(person.server)
    person.may(f"SELECT ({READ}, {LEASE}) ON jobs", f"UPDATE (status, {LEASE}) ON jobs")
    result = drain(person)
    assert (result.code, result.json()["rows"]) == (0, 20), result


def test_a_mark_at_claim_time_needs_its_columns_too(person: Person) -> None:
    jobs(person.server, 20)
    made = here("queue", "init", "jobs", "--claimed", "--apply", "--url", person.server.url)
    assert made.code == 0, made.err
    person.may(f"SELECT ({READ}, {LEASE}, before_claim) ON jobs", f"UPDATE (status, {LEASE}, before_claim) ON jobs")
    refused = drain(person, "--claimed", "n = 7")
    assert (refused.code, "UPDATE (n)" in refused.out) == (12, True), refused
    result = drain(person, "--claimed", "status = 'running'")
    assert (result.code, result.json()["rows"]) == (0, 20), result


def test_a_drain_without_one_column_names_it_and_the_grant(person: Person) -> None:
    jobs(person.server, 3)
    leased(person.server)
    person.may("SELECT ON jobs", "UPDATE (status, lease, lease_until, next_at) ON jobs")
    for args in ((), ("--dry-run",)):
        result = drain(person, *args)
        assert result.code == 12, result
        assert "UPDATE (attempts, failure)" in result.out, result
        assert "GRANT UPDATE (attempts, failure) ON" in result.out, result
    hint = result.json()["error"]["hint"]
    person.server.execute(hint.partition(": ")[2].rstrip(";"))
    assert drain(person).json()["rows"] == 3


def test_a_drain_with_leases_beside_asks_for_the_marks_alone(person: Person) -> None:
    jobs(person.server, 3)
    leased(person.server, "table")
    person.may("SELECT ON jobs", "UPDATE (status) ON jobs")
    for args in ((), ("--lease-in", "table")):
        refused = drain(person, *args)
        assert refused.code == 12, refused
        assert "batchops_row_lease" in refused.out, refused
        assert "GRANT SELECT" in refused.out, refused
    person.may("SELECT, INSERT, UPDATE, DELETE ON batchops_row_lease")
    assert drain(person).json()["rows"] == 3


def test_a_table_that_the_server_hides_is_not_said_to_be_missing(mariadb: Database) -> None:
    """MariaDB shows no table to a role without a right to it: the hint names the GRANT, and works as it is printed."""
    jobs(mariadb, 3)
    leased(mariadb, "table")
    person = Person(mariadb, f"p_{mariadb.name}"[-32:])
    mariadb.execute(f"CREATE USER {person.account} IDENTIFIED BY 'x'")
    try:
        mariadb.execute("CREATE TABLE seen (id int PRIMARY KEY)")
        person.may("SELECT ON seen")
        missing = drain(person)
        assert (missing.code, missing.json()["reason"]) == (10, "not-found"), missing
        mariadb.execute(missing.json()["error"]["hint"].partition("there, grant it: ")[2].rstrip(";"))
        person.may("UPDATE (status) ON jobs")
        beside = drain(person)
        assert beside.code == 12, beside
        mariadb.execute(beside.json()["error"]["hint"].partition("there, grant it: ")[2].rstrip(";"))
        assert drain(person).json()["rows"] == 3
    finally:
        mariadb.execute(f"DROP USER {person.account}")


def test_a_relay_needs_no_more_than_the_sent_column(person: Person, tmp_path: Path) -> None:
    made(person.server)
    saved(person.server, [event("a", n) for n in range(3)])
    assert (
        here("relay", "outbox", "--url", person.server.url, "--to", f"file:{tmp_path}/1", "--max-rows", "1").code == 0
    )
    person.may("SELECT ON outbox")
    beside = "batchops_relay", "batchops_shard", "batchops_failed"
    person.may(*(f"SELECT, INSERT, UPDATE, DELETE ON {table}" for table in beside))
    asked = ("relay", "outbox", "--url", person.url, "--to", f"file:{tmp_path}/2")
    refused = here(*asked)
    assert refused.code == 12
    assert "GRANT UPDATE (sent_at) ON" in refused.err
    person.may("UPDATE (sent_at) ON outbox")
    assert here(*asked).code == 0
    assert left(person.server) == 0


def test_a_backfill_needs_no_more_than_the_columns_it_sets(person: Person) -> None:
    jobs(person.server, 20)
    person.may("SELECT ON jobs", "UPDATE (n) ON jobs")
    job = ("backfill", "jobs", "--url", person.url, "--all-rows", "-y", "--ledger", "none", "--json")
    assert here(*job, "--set", "n = 7").json()["rows"] == 20
    refused = here(*job, "--set", "payload = 'x'")
    assert refused.code == 12
    assert "UPDATE (payload)" in refused.out


@pytest.mark.wide(2)
@pytest.mark.parametrize("grant", ["role", "pattern", "everything"])
def test_rights_by_a_role_or_a_pattern_count(mariadb: Database, grant: str) -> None:
    """MariaDB: what information_schema does not tell of an account, the server knows."""
    jobs(mariadb, 3)
    leased(mariadb)
    person = Person(mariadb, f"p_{mariadb.name}"[-32:])
    role = f"r_{mariadb.name}"[-32:]
    mariadb.execute(f"CREATE USER {person.account} IDENTIFIED BY 'x'")
    mariadb.execute(f"CREATE ROLE {role}")
    try:
        match grant:
            case "role":
                mariadb.execute(f"GRANT SELECT, UPDATE ON jobs TO {role}")
                mariadb.execute(f"GRANT {role} TO {person.account}")
                mariadb.execute(f"SET DEFAULT ROLE {role} FOR {person.account}")
            case "pattern":
                pattern = mariadb.name.replace("_", "\\_")[:-1] + "%"
                person.may(f"SELECT, UPDATE ON `{pattern}`.*")
            case _:
                person.may("SELECT, UPDATE ON *.*")
        assert drain(person).json()["rows"] == 3
    finally:
        mariadb.execute(f"DROP USER {person.account}")
        mariadb.execute(f"DROP ROLE {role}")
