"""`archive --drop-partitions`: whole partitions are copied, compared under a lock, and dropped; or all rows stay."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import sqlalchemy as sa

import batchops as library
from batchops.archive.layout import MARKER
from batchops.bulk.archiving.partition_copies import PartitionCopies
from batchops.db.table import Table
from batchops.runtime.stop import Stop
from tests.bulk.archiving.partitioned import MONTHS, ROWS, WHERE, arguments, make, partitions, tables, wrong
from tests.command import Batchops, here
from tests.services.database import Database
from tests.services.proxy import Proxy

EVERY = [f"ev_{m}" for m in range(1, MONTHS + 1)]
FULL = pytest.mark.full
REPLACED = "ALTER TABLE ev_1 RENAME TO ev_old; CREATE TABLE ev_1 (LIKE ev)"


@pytest.fixture
def parted(postgresql: Database) -> Database:
    make(postgresql)
    return postgresql


def archive(database: Database, folder: Path, *more: str, code: int = 0) -> Any:
    """The document of an archive that ended with that exit code."""
    done = here(*arguments(database, folder, "--json", *more))
    assert done.code == code, done.out + done.err
    return done.json()


@contextmanager
def between(do: Callable[[Table], object], *, times: int = 1) -> Iterator[list[str]]:
    """Let `do` happen after a partition is copied, before it is looked at again; yields the copied ones."""
    copied: list[str] = []
    copy = PartitionCopies.copy

    def then(self: PartitionCopies, leaf: Table, check: Callable[[], None]) -> None:
        copy(self, leaf, check)
        copied.append(leaf.name)
        if len(copied) <= times:
            do(leaf)

    with patch.object(PartitionCopies, "copy", then):
        yield copied


def detached(database: Database) -> list[str]:
    """The partitions that the ledger knows as detached."""
    return database.column("SELECT pinned::json -> 'detached' ->> 'name' FROM batchops_run "
                           "WHERE json_typeof(pinned::json -> 'detached') = 'object'")  # fmt: skip


def moved(folder: Path) -> None:
    """Let the archive belong to the database at any address, as a proxy has another one."""
    marker = folder / MARKER
    if marker.exists():
        marker.write_text(json.dumps(json.loads(marker.read_text()) | {"database": "", "server": ""}))


def archived(folder: Path) -> int:
    """How many rows the archive has, as its verification says."""
    return int(here("archive", "verify", folder, "--json").json()["rows"])


@contextmanager
def reading(database: Database, table: str) -> Iterator[None]:
    """Another session that has read the table, in a transaction that stays open."""
    with database.engine.begin() as connection:
        connection.execute(sa.text(f"SELECT 1 FROM {table} LIMIT 1"))
        yield


def test_covered_partitions_are_dropped_and_can_be_restored(parted: Database, tmp_path: Path) -> None:
    planned = here(*arguments(parted, tmp_path / "a", "-n"))
    assert planned.code == 0, planned
    assert "ev_3: its bounds imply the condition: FOR VALUES FROM ('2025-03-01" in planned.out
    assert "DETACH PARTITION, which waits 200 ms for its lock and is retried (not CONCURRENTLY," in planned.out
    assert not (tmp_path / "a").exists()
    end = archive(parted, tmp_path / "a")
    assert (end["reason"], end["rows"], end["unsealed"], end["partitions"]) == ("done", MONTHS * ROWS, 0, MONTHS)
    assert tables(parted) == partitions(parted) == ["ev_next"]
    assert archived(tmp_path / "a") == MONTHS * ROWS
    assert wrong(parted, tmp_path / "a") is None
    assert here("archive", "verify", tmp_path / "a", "--against", parted.url).code == 0


def test_rows_of_a_dropped_partition_go_back_into_one_of_the_table(parted: Database, tmp_path: Path) -> None:
    archive(parted, tmp_path / "a")
    words = ("restore", tmp_path / "a", "--url", parted.url, "--table", "ev", "-y")
    planned = here(*words, "-n")
    create = (
        "CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM ('2025-01-01 00:00:00+00') TO ('2025-02-01 00:00:00+00')"
    )
    assert create in planned.err.replace("\n", " "), planned.err
    refused = here(*words, "--batch-size", "10", "--max-rejected", "0")
    assert refused.code == 3, refused
    assert 'no partition of relation "ev" found for row' in refused.out + refused.err, refused.out
    for m in range(1, MONTHS + 1):
        parted.execute(
            f"CREATE TABLE ev_{m} PARTITION OF ev FOR VALUES FROM ('2025-{m:02}-01') TO ('2025-{m + 1:02}-01')"
        )
    done = here(*words, "--restart")
    assert (done.code, "PARTITION OF" in done.err) == (0, False), done
    for one, other in (("ev", "original"), ("original", "ev")):
        assert parted.scalar(f"SELECT count(*) FROM (TABLE {one} EXCEPT ALL TABLE {other}) x") == 0


def test_rows_of_partitions_that_are_not_covered_go_one_by_one(parted: Database, tmp_path: Path) -> None:
    """The flaw of others: a partition with any row of the time is dropped, with rows that were never copied."""
    done = here(*arguments(parted, tmp_path / "a", "--json", "--where", "made < '2025-02-15'"))
    assert done.code == 0, done
    assert partitions(parted) == ["ev_2", "ev_3", "ev_next"]
    assert parted.scalar("SELECT count(*) FROM ev_2 WHERE made < '2025-02-15'") == 0
    assert 0 < parted.scalar("SELECT count(*) FROM ev_2") < ROWS
    assert wrong(parted, tmp_path / "a") is None


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {} SET note = 'later' WHERE id % 10 = 0",
        *(
            pytest.param(sql, marks=FULL)
            for sql in (
                "INSERT INTO {} SELECT 900000, min(made), 1, 'new' FROM {}",
                "DELETE FROM {} WHERE id % 50 = 0",
                "WITH gone AS (DELETE FROM {} WHERE id % 50 = 0 RETURNING *) "
                "INSERT INTO {} SELECT id + 700000, made, amount, note FROM gone",
            )
        ),
    ],
)
def test_what_others_write_into_the_detached_partition_is_archived(
    parted: Database, tmp_path: Path, change: str
) -> None:  # fmt: skip
    """A session that knows the partition's name reaches it: an equal number of rows does not show that they are."""
    there: list[str] = []

    def write(leaf: Table) -> None:
        parted.execute(change.replace("{}", leaf.name))
        parted.script(
            f"DELETE FROM original WHERE made >= '2025-01-01' AND made < '2025-02-01'; "
            f"INSERT INTO original SELECT * FROM {leaf.name}"
        )
        there.append(leaf.name)

    with between(write) as copied:
        archive(parted, tmp_path / "a")
    assert there == ["ev_1"]
    assert copied == ["ev_1", *EVERY]
    assert wrong(parted, tmp_path / "a") is None


def test_a_partition_that_others_keep_writing_to_is_attached_again(parted: Database, tmp_path: Path) -> None:
    with between(lambda leaf: parted.execute(f"UPDATE {leaf.name} SET amount = amount + 1"), times=99) as copied:
        end = archive(parted, tmp_path / "a", "--retry-timeout", "0s", code=75)
    assert copied == ["ev_1"] * 3
    assert "write to the detached partition" in end["error"]["message"]
    assert partitions(parted) == [*EVERY, "ev_next"]
    assert detached(parted) == []
    assert archived(tmp_path / "a") == 0
    parted.script("DROP TABLE original; CREATE TABLE original AS SELECT * FROM ev")
    archive(parted, tmp_path / "a")
    assert wrong(parted, tmp_path / "a") is None


def test_rows_that_do_not_match_keep_their_partition(parted: Database, tmp_path: Path) -> None:
    """By its bounds and constraints the server proves that no row is outside; for NULL the condition is not true."""
    parted.execute("UPDATE ev SET amount = NULL WHERE id = 6")
    parted.script("ALTER TABLE ev ADD CHECK (amount >= 0); DROP TABLE original; CREATE TABLE original AS TABLE ev")
    where = f"{WHERE} AND amount > -1"
    done = here(*arguments(parted, tmp_path / "a", "--json", "--where", where))
    assert (done.code, done.json()["rows"]) == (0, MONTHS * ROWS - 1), done.out
    assert partitions(parted) == ["ev_1", "ev_next"]
    assert parted.column("SELECT id FROM ev_1") == [6]
    assert wrong(parted, tmp_path / "a") is None


def test_a_row_that_cannot_be_archived_exactly_keeps_its_partition(parted: Database, tmp_path: Path) -> None:
    parted.script("UPDATE ev SET made = '-infinity' WHERE false; ALTER TABLE ev ADD COLUMN at timestamp")
    parted.script("UPDATE ev SET at = 'infinity' WHERE id IN (12, 18); DROP TABLE original")
    parted.script("CREATE TABLE original AS TABLE ev")
    end = archive(parted, tmp_path / "a", code=3)
    assert (end["rows"], end["rejected"]) == (MONTHS * ROWS - 2, 2)
    assert partitions(parted) == ["ev_1", "ev_next"]
    assert parted.column("SELECT id FROM ev_1 ORDER BY id") == [12, 18]
    assert wrong(parted, tmp_path / "a") is None


@pytest.mark.wide(3)
@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("CREATE VIEW seen AS SELECT id FROM ev_2", "other objects depend on it: rule _RETURN on view seen"),
        ("CREATE PUBLICATION out FOR TABLE ev", "a publication would not replicate"),
        (
            "CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN OLD; END'; "
            "CREATE TRIGGER noting AFTER DELETE ON ev FOR EACH ROW EXECUTE FUNCTION noted()",
            "a trigger would not fire: noting",
        ),
        ("CREATE TABLE part (id bigint, made timestamptz, FOREIGN KEY (id, made) REFERENCES ev)", "foreign key refers"),
        ("ALTER TABLE ev_2 ENABLE ROW LEVEL SECURITY", "row-level security applies to ev_2"),
        ("CREATE SEQUENCE own OWNED BY ev_2.id", "a sequence would go with it: own"),
        ("CREATE RULE quiet AS ON UPDATE TO ev_2 DO INSTEAD NOTHING", "a rule would not apply: quiet"),
    ],
)  # fmt: skip
def test_what_a_drop_would_not_do_is_refused(postgresql: Database, tmp_path: Path, more: str, why: str) -> None:
    make(postgresql, more)
    allowed = [part for name in ("triggers", "fk-index", "cascades", "rls", "view") for part in ("--allow", name)]
    end = archive(postgresql, tmp_path / "a", *allowed, code=12)
    assert why in end["error"]["message"], end
    assert len(partitions(postgresql)) == MONTHS + 1
    assert postgresql.scalar("SELECT count(*) FROM ev") == (MONTHS + 1) * ROWS
    assert not (tmp_path / "a").exists()


@FULL
def test_a_role_that_does_not_own_the_table_is_refused(parted: Database, tmp_path: Path) -> None:
    parted.script("GRANT ALL ON SCHEMA public TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC")
    role = f"other_{parted.name}"
    parted.script(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    try:
        url = sa.make_url(parted.url).set(username=role, password="x").render_as_string(hide_password=False)
        done = here(*arguments(parted, tmp_path / "a", "--json", "--url", url))
        assert (done.code, "this role does not own" in done.json()["error"]["message"]) == (12, True), done
    finally:
        parted.script(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_options_that_do_not_go_together(parted: Database, tmp_path: Path) -> None:
    for more in (("--keep",), ("--to", "other"), ("--with-children",), ("--max-rows", "5")):
        done = here(*arguments(parted, tmp_path / "a", *more))
        assert done.code == 2, done


def test_rows_go_one_by_one_where_no_partition_is_covered(parted: Database, tmp_path: Path) -> None:
    """A job of each night has nothing to drop in most of them."""
    before = partitions(parted)
    few = parted.scalar("SELECT count(*) FROM ev WHERE amount < 5")
    planned = here(*arguments(parted, tmp_path / "a", "--where", "amount < 5", "-n"))
    assert "no partition, as the server cannot prove of any that all of its rows match" in planned.out + planned.err
    done = here(*arguments(parted, tmp_path / "a", "--where", "amount < 5", "--json"))
    assert (done.code, done.json()["rows"], partitions(parted)) == (0, few, before), done
    parted.script("CREATE TABLE plain (id integer PRIMARY KEY)")
    words = ("purge", "plain", "--all-rows", "--drop-partitions", "-y", "--url", parted.url)
    assert (here(*words).code, "has no partitions" in here(*words).err) == (12, True)


@FULL
def test_a_default_partition_stays(postgresql: Database, tmp_path: Path) -> None:
    make(postgresql, "CREATE TABLE ev_rest PARTITION OF ev DEFAULT")
    postgresql.script("INSERT INTO ev SELECT i, '2020-05-01', i, 'rest' FROM generate_series(500001, 500050) i")
    postgresql.script("DROP TABLE original; CREATE TABLE original AS TABLE ev")
    planned = here(*arguments(postgresql, tmp_path / "a", "-n"))
    assert "and not beside a DEFAULT partition" in planned.out
    done = archive(postgresql, tmp_path / "a")
    assert done["rows"] == MONTHS * ROWS + 50
    assert partitions(postgresql) == ["ev_next", "ev_rest"]
    assert postgresql.scalar("SELECT count(*) FROM ev_rest") == 0
    assert wrong(postgresql, tmp_path / "a") is None


def test_a_default_partition_with_rows_that_belong_to_the_detached_one(postgresql: Database, tmp_path: Path) -> None:
    """What the application inserts meanwhile is in the DEFAULT partition: the only copy, which stays."""
    empty = "CREATE TABLE ev_0 PARTITION OF ev FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')"
    make(postgresql, f"CREATE TABLE ev_rest PARTITION OF ev DEFAULT; {empty}")
    late = "INSERT INTO ev VALUES (800001, '2025-01-05', 1, 'late')"

    def insert(_: Table) -> None:
        postgresql.execute(late)
        postgresql.execute(late.replace("INTO ev", "INTO original"))

    with between(insert):
        archive(postgresql, tmp_path / "a", "--strategy", "key")
    assert tables(postgresql) == ["ev_next", "ev_rest"]
    assert wrong(postgresql, tmp_path / "a") is None


@FULL
def test_lists_and_partitions_of_partitions(postgresql: Database, tmp_path: Path) -> None:
    """A leaf is covered by what its parents' bounds and its own imply together."""
    postgresql.script(
        'CREATE TABLE ev (id bigint NOT NULL, made timestamptz NOT NULL, "kind%" text NOT NULL) '
        'PARTITION BY LIST ("kind%");'
        "CREATE TABLE ev_a PARTITION OF ev FOR VALUES IN ('a%', 'b') PARTITION BY RANGE (made);"
        "CREATE TABLE ev_c PARTITION OF ev FOR VALUES IN ('c');"
        "CREATE TABLE ev_a_1 PARTITION OF ev_a FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');"
        "CREATE TABLE ev_a_2 PARTITION OF ev_a FOR VALUES FROM ('2025-02-01') TO ('2026-02-01');"
        "INSERT INTO ev SELECT i, timestamptz '2025-01-01' + i * interval '1 hour', "
        "(ARRAY['a%', 'b', 'c'])[1 + i % 3] FROM generate_series(1, 3000) i;"
        "CREATE TABLE original AS TABLE ev"
    )
    where = "\"kind%\" IN ('a%', 'b') AND made < '2025-03-01'"
    done = here(*arguments(postgresql, tmp_path / "a", "--json", "--where", where))
    assert done.code == 0, done
    assert tables(postgresql) == ["ev_a_2", "ev_c"]
    assert postgresql.scalar(f"SELECT count(*) FROM ev WHERE {where}") == 0
    assert wrong(postgresql, tmp_path / "a") is None
    done = here(*arguments(postgresql, tmp_path / "a", "--json", "--where", "\"kind%\" = 'c'"))
    assert done.code == 0, done
    assert tables(postgresql) == ["ev_a_2"]
    assert wrong(postgresql, tmp_path / "a") is None


def test_a_reader_of_the_table_keeps_the_partition_attached(parted: Database, tmp_path: Path) -> None:
    with reading(parted, "ev"):
        end = archive(parted, tmp_path / "a", "--retry-timeout", "0s", code=75)
        assert end["rows"] == 0
        assert partitions(parted) == [*EVERY, "ev_next"]
    assert detached(parted) == []
    archive(parted, tmp_path / "a")
    assert wrong(parted, tmp_path / "a") is None


def test_a_reader_of_the_detached_partition_is_waited_for_and_named(parted: Database, tmp_path: Path) -> None:
    """While it cannot be locked it is neither dropped nor attached: every place says so until it is finished."""
    over = threading.Event()
    read = threading.Event()

    def hold() -> None:
        with reading(parted, "ev_1"):
            read.set()
            over.wait()

    reader = threading.Thread(target=hold)

    def begin(_: Table) -> None:
        reader.start()
        read.wait()

    try:
        with between(begin):
            patience = ("--retry-timeout", "0s", "--lock-timeout", "100ms")
            end = archive(parted, tmp_path / "a", *patience, code=75)
        assert 'Partition "ev_1" stays detached from "ev", with all of its rows' in end["error"]["message"]
        assert end["next"]
        assert detached(parted) == ["ev_1"]
        assert "has detached partition ev_1 of ev" in here("runs", "--url", parted.url).out
        assert "ev_1 of ev" in here("show", "ev", "--url", parted.url).out
        shown = here("show", "ev", "--url", parted.url, "--json").json()
        assert (shown["state"], shown["detached"]) == ("busy", "ev_1 of ev")
        other = here("purge", "ev", "--where", "id < 0", "--url", parted.url, "-n")
        assert "has detached partition ev_1 of ev" in other.err
        again = archive(parted, tmp_path / "a", *patience, code=75)
        assert again["run"] == end["run"]
    finally:
        over.set()
        reader.join()
    archive(parted, tmp_path / "a")
    assert detached(parted) == []
    assert tables(parted) == ["ev_next"]
    assert wrong(parted, tmp_path / "a") is None


@FULL
def test_another_table_under_the_name_is_neither_dropped_nor_attached(parted: Database, tmp_path: Path) -> None:
    with between(lambda _: parted.script(REPLACED)):
        archive(parted, tmp_path / "a", code=75)
    assert detached(parted) == ["ev_1"]
    assert (parted.scalar("SELECT count(*) FROM ev_1"), parted.scalar("SELECT count(*) FROM ev_old")) == (0, ROWS)
    parted.script("DROP TABLE ev_1; ALTER TABLE ev_old RENAME TO ev_1")
    archive(parted, tmp_path / "a")
    assert wrong(parted, tmp_path / "a") is None


def test_a_stopped_run_attaches_the_partition_again(postgresql: Database, tmp_path: Path) -> None:
    """With its own references to other tables, and without the constraint that it had meanwhile."""
    make(postgresql, "CREATE TABLE kinds (id integer PRIMARY KEY); ALTER TABLE ev ADD COLUMN kind integer; "
         "ALTER TABLE ev ADD FOREIGN KEY (kind) REFERENCES kinds; INSERT INTO kinds VALUES (1); "
         "ALTER TABLE ev ALTER kind SET DEFAULT 1; ALTER TABLE ev ADD UNIQUE (made, id)")  # fmt: skip
    parted, stop = postgresql, Stop()
    folder = f"{tmp_path}/a/"
    options: dict[str, Any] = {"url": parted.url, "table": "ev", "where": WHERE, "to": folder, "drop_partitions": True}
    with between(lambda _: stop.ask("stopped"), times=1):
        end = library.archive(**options, stop=stop)
    assert (end.reason, end.exit, end.rows) == ("stopped", 0, 0)
    assert partitions(parted) == [*EVERY, "ev_next"]
    assert detached(parted) == []
    assert parted.scalar("SELECT count(*) FROM pg_constraint WHERE conname = 'batchops_bounds'") == 0
    assert archived(tmp_path / "a") == 0
    done = library.archive(**options)
    assert (done.reason, done.rows) == ("done", MONTHS * ROWS)
    assert wrong(parted, tmp_path / "a") is None


@pytest.mark.parametrize("looked", [False, True], ids=["copied", "looked at again"])
def test_a_run_that_another_process_took_over_drops_nothing(parted: Database, tmp_path: Path, looked: bool) -> None:
    def take_over(*_: object) -> bool:
        parted.execute("UPDATE batchops_lease SET token = 'another'")
        return True

    with patch.object(PartitionCopies, "same", take_over) if looked else between(take_over):
        archive(parted, tmp_path / "a", code=11)
    assert detached(parted) == ["ev_1"]
    assert parted.scalar("SELECT count(*) FROM ev_1") == ROWS
    parted.execute("DELETE FROM batchops_lease")
    archive(parted, tmp_path / "a")
    assert wrong(parted, tmp_path / "a") is None


@pytest.mark.parametrize("of", [pytest.param("detach partition", marks=FULL), "drop table"])
@pytest.mark.parametrize("mode", ["cut_after", pytest.param("cut_before", marks=FULL)])
def test_the_answer_to_a_commit_is_lost(parted: Database, tmp_path: Path, of: str, mode: Any) -> None:
    with Proxy(parted.url, mode, every=2, of=of) as proxy:
        end = archive(parted, tmp_path / "a", "--url", proxy.url)
        assert proxy.cut >= 1
    assert end["rows"] == MONTHS * ROWS
    assert tables(parted) == ["ev_next"]
    assert wrong(parted, tmp_path / "a") is None


def test_a_run_that_gave_up_in_doubt_is_continued(parted: Database, tmp_path: Path) -> None:
    with Proxy(parted.url, "cut_after", of="detach partition", times=1) as proxy:
        gave_up = here(*arguments(parted, tmp_path / "a", "--url", proxy.url, "--retry-timeout", "0s"))
        assert (gave_up.code, proxy.cut) == (75, 1), gave_up
    assert detached(parted) == ["ev_1"]
    moved(tmp_path / "a")
    end = archive(parted, tmp_path / "a")
    assert (end["rows"], tables(parted), detached(parted)) == (MONTHS * ROWS, ["ev_next"], [])
    assert wrong(parted, tmp_path / "a") is None


def crash(database: Database, folder: Path, batchops: Batchops, partition: str = "ev_1") -> None:
    """Leave the partition detached, as a process that was killed after its COMMIT does."""
    with Proxy(database.url, "stall", of="validate constraint", times=1) as proxy:
        process = batchops.start(*arguments(database, folder, "--url", proxy.url))
        proxy.wait()
        process.kill()
        process.wait()
        proxy.mode = "pass"
        proxy.release()
    assert detached(database) == [partition]
    moved(folder)


@pytest.mark.parametrize("more", [pytest.param((), marks=FULL), ("--restart",)], ids=["continued", "restarted"])
def test_a_detached_partition_is_completed_after_a_crash(
    parted: Database, batchops: Batchops, tmp_path: Path, more: tuple[str, ...]
) -> None:  # fmt: skip
    crash(parted, tmp_path / "a", batchops)
    end = archive(parted, tmp_path / "a", *more)
    assert end["rows"] == MONTHS * ROWS
    assert (tables(parted), detached(parted)) == (["ev_next"], [])
    assert wrong(parted, tmp_path / "a") is None


def test_the_last_partition_is_completed_after_a_crash(parted: Database, batchops: Batchops, tmp_path: Path) -> None:
    """No partition is covered any more once the only one is detached: the job is not refused for that."""
    parted.script("".join(f"DROP TABLE ev_{m};" for m in range(2, MONTHS + 1)))
    parted.script("DROP TABLE original; CREATE TABLE original AS TABLE ev")
    crash(parted, tmp_path / "a", batchops)
    archive(parted, tmp_path / "a")
    assert (tables(parted), detached(parted)) == (["ev_next"], [])
    assert wrong(parted, tmp_path / "a") is None


@pytest.mark.parametrize(
    "meanwhile",
    [REPLACED, *(pytest.param(sql, marks=FULL) for sql in ("ALTER TABLE ev_1 RENAME TO ev_old", "DROP TABLE ev_1"))],
    ids=["replaced", "renamed", "dropped"],
)
def test_a_detached_partition_that_is_not_there_any_more(
    parted: Database, batchops: Batchops, tmp_path: Path, meanwhile: str
) -> None:  # fmt: skip
    crash(parted, tmp_path / "a", batchops)
    parted.script(meanwhile)
    archive(parted, tmp_path / "a", code=13)
    if "RENAME" in meanwhile:
        assert detached(parted) == ["ev_1"]
        parted.script("DROP TABLE IF EXISTS ev_1; ALTER TABLE ev_old RENAME TO ev_1")
        archive(parted, tmp_path / "a")
        assert wrong(parted, tmp_path / "a") is None
    else:
        assert archive(parted, tmp_path / "a")["rows"] == (MONTHS - 1) * ROWS


@FULL
def test_a_partition_that_somebody_attached_again_is_archived(
    parted: Database, batchops: Batchops, tmp_path: Path
) -> None:  # fmt: skip
    crash(parted, tmp_path / "a", batchops)
    parted.execute("ALTER TABLE ev ATTACH PARTITION ev_1 FOR VALUES FROM ('2025-01-01') TO ('2025-02-01')")
    archive(parted, tmp_path / "a")
    assert detached(parted) == []
    assert parted.scalar(f"SELECT count(*) FROM ev WHERE {WHERE}") == 0
    assert wrong(parted, tmp_path / "a") is None


@FULL
def test_a_disk_that_is_full_leaves_the_partition_attached(parted: Database, tmp_path: Path) -> None:
    def no_room(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with patch("batchops.archive.segments.os.fsync", no_room):
        end = archive(parted, tmp_path / "a", code=1)
    assert "No space left" in end["error"]["message"]
    assert (partitions(parted), detached(parted)) == ([*EVERY, "ev_next"], [])
    archive(parted, tmp_path / "a")
    assert wrong(parted, tmp_path / "a") is None


def test_a_purge_completes_what_a_crash_left_after_the_last_partition(parted: Database) -> None:
    parted.script("".join(f"DROP TABLE ev_{m};" for m in range(2, MONTHS + 1)))
    words = ("purge", "ev", "--where", WHERE, "-y", "--drop-partitions", "--url")
    with Proxy(parted.url, "cut_after", of="detach partition", times=1) as proxy:
        here(*words, proxy.url, "--retry-timeout", "0s")
    assert detached(parted) == ["ev_1"]
    done = here(*words, parted.url, "--json")
    assert (done.code, done.json()["rows"]) == (0, ROWS), done
    assert (tables(parted), detached(parted)) == (["ev_next"], [])
