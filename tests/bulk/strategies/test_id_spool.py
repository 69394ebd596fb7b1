"""Lists of ids by themselves: what is read from a file, in which order, and how little of it is in memory."""

import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchops.bulk.strategies.id_file import id_file
from batchops.bulk.strategies.id_spool import IdList
from batchops.db.types import KeyValue
from batchops.errors import UsageError

MANY = 30_000
MOST_BYTES = 4_000_000


def entries(path: Path, *columns: str) -> list[tuple[int, tuple[str, ...]]]:
    with id_file(str(path)) as file:
        assert file is not None
        return list(file.entries(columns))


@pytest.mark.parametrize(
    ("text", "columns", "read"),
    [
        ("1\n\n 2 \r\n3", ("id",), [(1, ("1",)), (3, (" 2 ",)), (4, ("3",))]),
        ("\ufeffid\n5\n", ("id",), [(2, ("5",))]),
        ('note;"ID"\n"a;b";7\n\nx;8\n', ("id",), [(2, ("7",)), (4, ("8",))]),
        ("b\ta\n1\t2\n", ("a", "b"), [(2, ("2", "1"))]),
        ('id,x\n"two\nlines",1\n9,2\n', ("id",), [(3, ("two\nlines",)), (4, ("9",))]),
        ("", ("id",), []),
        ("", ("a", "b"), []),
        ("id\n", ("id",), []),
    ],
)
def test_files(tmp_path: Path, text: str, columns: tuple[str, ...], read: list[object]) -> None:
    (path := tmp_path / "ids").write_bytes(text.encode())
    assert entries(path, *columns) == read


@pytest.mark.parametrize(
    ("content", "columns", "said"),
    [
        (b"a,c\n1,2\n", ("a", "b"), 'line 1: the header names no column "b"'),
        (b"1\n2\n", ("a", "b"), 'line 1: the header names no column "a", "b"'),
        (b"caf\xe9\n", ("id",), "not UTF-8"),
        (b'id,x\n"1,2\n', ("id",), "line 2: "),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes, columns: tuple[str, ...], said: str) -> None:
    (path := tmp_path / "ids").write_bytes(content)
    with pytest.raises(UsageError) as refused:
        entries(path, *columns)
    assert said in refused.value.message


def chunks(ids: IdList, size: int, upto: KeyValue | None = None) -> Iterator[KeyValue]:
    after = None
    while some := ids.next(after, upto, size):
        yield from some
        after = some[-1]


KEYS = st.lists(st.tuples(st.one_of(st.integers(), st.text(max_size=3), st.binary(max_size=3), st.integers().map(str))))


@settings(max_examples=20)
@given(keys=KEYS, size=st.integers(1, 5))
def test_each_key_once_in_the_same_order(
    tmp_path_factory: pytest.TempPathFactory, keys: list[KeyValue], size: int
) -> None:
    folder = tmp_path_factory.mktemp("ids")
    with closing(IdList(folder / "a", 1, "")) as first, closing(IdList(folder / "b", 1, "")) as other:
        first.add(keys, 0)
        other.add([*reversed(keys), *keys], 0)
        found = list(chunks(first, size))
        assert found == list(chunks(other, 100))
        assert sorted(map(repr, found)) == sorted({repr(key) for key in keys})
        if found:
            middle = first.middle(None, None, 1)
            assert middle is not None
            assert [*chunks(first, 3, middle), *first.next(middle, None, 100)] == found


def test_numbers_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    """Neighbours in the table go in one batch, also where the driver has numbers as text."""
    with closing(IdList(tmp_path / "a", 1, "")) as ids:
        ids.add([(str(number),) for number in (10, 9, -1, 100, 2)], 5)
        assert [key for (key,) in chunks(ids, 2)] == ["-1", "2", "9", "10", "100"]


@pytest.mark.full
def test_many_ids_are_not_in_memory(tmp_path: Path) -> None:
    (path := tmp_path / "ids").write_text("".join(f"{number}\n" for number in range(MANY)))
    tracemalloc.start()
    try:
        with id_file(str(path)) as file, closing(IdList(tmp_path / "a", 1, "")) as ids:
            assert file is not None
            ids.spool(file.entries(["id"]))
            for some in ids.spooled(1_000):
                ids.add([texts for _, texts in some], len(some))
            ids.ready()
            assert ids.rows == MANY
            assert sum(1 for _ in chunks(ids, 1_000)) == MANY
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()
