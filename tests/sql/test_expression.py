"""The guard on the user's expressions: what gets through, what is refused and how, and what is frozen."""

import sqlite3
from functools import partial

import pytest

from batchops.db.mysql.sql_functions import SQL_FUNCTIONS as MYSQL
from batchops.db.postgresql.sql_functions import SQL_FUNCTIONS as POSTGRESQL
from batchops.db.sql_functions import SqlFunctions
from batchops.db.sqlite.sql_functions import SQL_FUNCTIONS as SQLITE
from batchops.errors import Exit, UsageError
from batchops.sql.expression import (
    Assignment,
    Expression,
    evaluate_time_functions,
    parse_assignment,
    parse_condition,
    plainly_idempotent,
)
from batchops.sql.subselects import inner_subselects, subselects
from batchops.sql.tokens import tokenize

FAMILIES = {"postgresql": POSTGRESQL, "mysql": MYSQL, "sqlite": SQLITE}
SHADOWED = ("id", "user", "current_date", "oid")
COLUMNS = ("id", "status", "created_at", "n", "data", "tags", "now", "date", "call", "is_deleted", "größe")
ALL = tuple(FAMILIES)


def predicate(text: str, words: SqlFunctions = POSTGRESQL) -> Expression:
    return parse_condition(text, functions=words, table="events", columns=COLUMNS)


def assignment(text: str, words: SqlFunctions = POSTGRESQL) -> Assignment:
    return parse_assignment(text, functions=words, table="events", columns=COLUMNS)


def refused(text: str, words: SqlFunctions = POSTGRESQL) -> UsageError:
    with pytest.raises(UsageError) as caught:
        predicate(text, words)
    assert caught.value.exit is Exit.USAGE
    assert caught.value.message.startswith("--where: ")
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize(
    "text",
    [
        "is_deleted",
        "not is_deleted",
        "id > 5 and status = 'done'",
        "(id > 5) or (id < 2)",
        "status in ('a', 'b;c')",
        "status = 'it''s -- no comment'",
        "status = '/* none */ # either'",
        "status = '12:30' or status = ':name' or status = '?' or status = '%s' or status = '@x'",
        "n % 5 = 0",
        "n %5 = 0",
        "n % (id) = 0",
        "n - -1 = 2",
        "n = - - 1",
        "events.id = 1",
        "id in (select id from other)",
        "n < (select max(n) from other)",
        "n = (select count(*) from other o where o.id = events.id)",
        "exists (select 1 from other o where o.id = events.id and o.unknown = 1)",
        "call = 'now'",
        "now > 1 and date < '2020-01-01'",
        "status = 'now'",
        "größe > 3 and status = 'ü😀'",
        "case when n > 1 then is_deleted else not is_deleted end",
        "coalesce(n, 0) between 1 and 5",
        "cast(n as char(3)) = '1'",
        "status like 'a!%' escape '!'",
        "id = 1\n  and n = 2\t",
        "n is null",
        "(id, n) > (1, 2)",
        "replace(status, 'a', 'b') = 'b'",
    ],
)
def test_ordinary_conditions_pass_unchanged(family: str, text: str) -> None:
    found = predicate(f"  {text} ", FAMILIES[family])
    assert found.text == text.strip()
    assert found.pinned({}) == found.text
    assert found.followed


@pytest.mark.parametrize(
    ("family", "text"),
    [
        *(
            ("postgresql", text)
            for text in (
                "created_at::date < '2020-01-01'::date",
                "data ? 'key'",
                "data ?| array['a', 'b'] or data ?& array['a']",
                "data @> '{\"a\": 1}'::jsonb",
                "data @? '$.a' or data @@ '$.a == 1'",
                "data #>> '{a,b}' = 'x' and data ->> 'y' = 'z' and data #- '{a}' is not null",
                "tags[1:2] = '{1}' and tags[:n] = '{}' and tags[n:] = '{}'",
                "status = $$it's -- no; comment$$ or status = $t$ :x ? $t$",
                "status = E'it\\'s; --' or status = e'\\\\'",
                "status = 'back\\'",
                "n # 3 = 1",
                "ctid > '(0,1)' and xmin::text <> '1' and tableoid = 'events'::regclass",
                "status = current_user and status <> user",
                "status collate \"C\" > 'a'",
                "extract(epoch from created_at) > 5",
                "created_at at time zone 'utc' < timestamp '2020-01-01 12:30'",
                "created_at > timestamp 'infinity' or created_at is not distinct from null",
                "to_jsonb(events) ? 'a' and events.* is not null",
                "STATUS = 'x' and \"status\" = 'y' and Events.Id = 1",
                "status ~* '^a' and status !~ 'b' and status ^@ 'c'",
                "n = any('{1,2}'::int[]) and n <> all(array[1,2])",
                "created_at <@ tstzrange('2020-01-01', '2021-01-01')",
                "age(created_at, '2020-01-01') > interval '1 day'",
                "json_object('a' : status, 'b' : 1) is not null",
                "make_interval(days => n) > interval '1' day",
                "(id, n) in (values (1, 2))",
                "status % 'x' or status <% 'x' or 'x' <<% status or status %> 'x'",
                "id = 1_000 and events.ctid is not null",
                "status = 'now' || 'today'",
                "status::text = 'now'::text",
            )
        ),
        *(
            ("mysql", text)
            for text in (
                'status = "it is -- no # comment; ?"',
                "status = 'it\\'s' and `status` = 'x' and STATUS = 'y'",
                "n = 5--3",
                "data->>'$.a' = 1 and json_extract(data, '$.b') = 2",
                "timestampdiff(day, created_at, '2020-01-01') > 5",
                "created_at < date'2020-01-01' - interval 1 day",
                "status regexp '^a' and status rlike 'b' and status not regexp 'c'",
                "n <=> null or !is_deleted xor n div 2 = n mod 2",
                "status collate utf8mb4_bin = _utf8mb4'x'",
                "match(status) against ('a b' in boolean mode)",
                "convert(status using utf8mb4) = 'x' and convert(n, signed) = 1",
                "unix_timestamp(created_at) > 5",
                "get_format(date, 'USA') = status",
                "insert(status, 1, 1, 'x') = 'x'",
                "x'1F' = status and n = 0x1F and n = b'1'",
                "if(n, 1, 0) = 1",
            )
        ),
        *(
            ("sqlite", text)
            for text in (
                "events.rowid > 5 and oid < 9 and _rowid_ = 1",
                "status glob 'a*' or status == 'b' or status is not 'c'",
                "[status] = 'x' or `status` = 'y' or \"status\" = 'z' or STATUS = 'a'",
                "max(n, id) > 5 and min(n, id, 3) < 2",
                "events match 'word'",
                "datetime(created_at) < datetime('2020-01-01', '-1 day')",
                "status = x'00' and n is null and status collate nocase = 'a'",
                "strftime('%Y', created_at) = '2020' and data ->> '$.a' = 1",
            )
        ),
    ],
)
def test_each_database_keeps_its_own_spellings(family: str, text: str) -> None:
    found = predicate(text, FAMILIES[family])
    assert found.time_functions == ()
    assert found.pinned({}) == text


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_nothing_is_refused_with_the_way_to_all_rows(text: str) -> None:
    assert "--all-rows" in refused(text).hint


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("status = = 'x'", "no value on one side"),
        ("status =", "no value on one side"),
        ("and id = 1", "no value on one side"),
        ("id = 1 and", "no value on one side"),
        ("(id = )", "no value on one side"),
        ("is_deleted status", "no operator"),
        ("status = 'x", "not closed"),
        ("(id = 1", "never closed"),
        ("id = 1)", "closes nothing"),
        ("1=1) or (1=1", "closes nothing"),
        ("id in (1]", "closes nothing"),
        ("id = 1; delete from events", "semicolon"),
        ("id = 1;", "semicolon"),
        ("id, n", "comma"),
        ("id = 1 -- or so", "comment"),
        ("-- or so", "comment"),
        ("id /* or */ = 1", "comment"),
        ("/* x */ id = 1", "comment"),
        ("id = 1 /* x */", "comment"),
        ("id in (/* x */)", "comment"),
        ("id = 1 --", "comment"),
        ("id = 1 /*", "not closed"),
        ("id = 1 /*+ x */", "comment"),
        ("id = 1 /*! or 1 */", "comment"),
        ("delete from events", "DELETE"),
        ("select 1", "SELECT"),
        ("with x as (select 1) select 1", "WITH"),
        ("update events set n = 1", "UPDATE"),
        ("drop table events", "DROP"),
        ("where id = 1", "WHERE"),
        ("id = 1 union select 1", "SELECT"),
        ("id = 1 limit 5", "LIMIT"),
        ("id = 1 order by id", "ORDER BY"),
        ("id in (with x as (delete from events returning id) select id from x)", "DELETE"),
        ("count(*) > 1", "aggregate count"),
        ("n > avg(n)", "aggregate avg"),
        ("max(n) = 1", "aggregate max"),
        ("row_number() over (order by id) > 5", "window"),
        ("lag(n) over w > 5", "window"),
        ("id = :id", ":id"),
        ("id=:id and n=1", ":id"),
        ("id in (:ids)", ":ids"),
        ("status like :pattern", ":pattern"),
        ("id = ?", "?"),
        ("id in (?, ?)", "?"),
        ("id between ? and ?", "?"),
        ("id = %s", "%s"),
        ("id=%s", "%s"),
        ("id in (%s)", "%s"),
        ("id = %(id)s", "%(id"),
        ("id = $1", "$1"),
        ("id = nosuch", "nosuch"),
        ("other.id = 1", "other"),
    ],
)
def test_slips_are_refused_everywhere(family: str, text: str, said: str) -> None:
    words = FAMILIES[family]
    error = refused(text, words)
    assert said in error.message


@pytest.mark.parametrize(
    ("family", "text", "said"),
    [
        ("mysql", "id = 1 # or so", "comment"),
        ("mysql", "id = 1 #", "comment"),
        ("mysql", "id = @id", "@id"),
        ("mysql", "id = @@sql_mode", "@@sql_mode"),
        ("mysql", "(@n := n) > 1", "@n"),
        ("mysql", "data ? 'x'", "?"),
        ("sqlite", "id = @id", "@id"),
        ("sqlite", "id = $id", "$id"),
        ("sqlite", "id = ?1", "?1"),
        ("postgresql", "id = (? )", "?"),
        ("postgresql", "tags[1] = :x", ":x"),
    ],
)
def test_slips_of_one_database(family: str, text: str, said: str) -> None:
    assert said in refused(text, FAMILIES[family]).message


@pytest.mark.parametrize(
    ("family", "text", "hint"),
    [
        ("postgresql", "statsu = 'x'", 'did you mean "status"?'),
        ("postgresql", "\"Status\" = 'x'", 'write "status"'),
        ("postgresql", 'status = "done"', "single quotes: 'done'"),
        ("postgresql", "foo = 1", "it has id, status"),
        ("mysql", "`statsu` = 'x'", 'did you mean "status"?'),
        ("sqlite", 'status = "done"', "single quotes: 'done'"),
        ("sqlite", "id = 1 and Statsu = 2", 'did you mean "status"?'),
    ],
)
def test_unknown_columns_are_refused_with_the_nearest(family: str, text: str, hint: str) -> None:
    assert hint in refused(text, FAMILIES[family]).hint


def test_postgresql_needs_quotes_for_capitals() -> None:
    found = parse_condition('"userId" = 1', functions=POSTGRESQL, table="Users", columns=["userId"])
    assert found.columns == {"userId"}
    with pytest.raises(UsageError) as caught:
        parse_condition("userId = 1", functions=POSTGRESQL, table="Users", columns=["userId"])
    assert '"userId"' in caught.value.hint


@pytest.mark.parametrize(
    ("family", "text", "time"),
    [
        ("postgresql", "created_at < clock_timestamp()", True),
        ("postgresql", "created_at < pg_catalog.clock_timestamp ( )", True),
        ("postgresql", "created_at::text < timeofday()", True),
        ("postgresql", "age(created_at) > interval '1 day'", True),
        ("postgresql", "random() < 0.5", False),
        ("postgresql", "RANDOM() < 0.5", False),
        ("postgresql", '"random"() < 0.5', False),
        ("postgresql", "data = gen_random_uuid()", False),
        ("postgresql", "data = public.uuid_generate_v4()", False),
        ("postgresql", "id = nextval('s')", False),
        ("postgresql", "id in (select setval('s', 1))", False),
        ("postgresql", "pg_sleep(1) is null", False),
        ("postgresql", "txid_current() = id", False),
        ("postgresql", "pg_terminate_backend(1)", False),
        ("postgresql", "pg_read_file('x') = ''", False),
        ("postgresql", "id in (select id from dblink('x', 'y') as t(id int))", False),
        ("mysql", "created_at < SYSDATE()", True),
        ("mysql", "created_at < sysdate(6)", True),
        ("mysql", "rand() < 0.5", False),
        ("mysql", "status = uuid()", False),
        ("mysql", "sleep(1)", False),
        ("mysql", "benchmark(1, 1)", False),
        ("mysql", "id = last_insert_id()", False),
        ("mysql", "load_file('x') = ''", False),
        ("mysql", "get_lock('x', 1)", False),
        ("mysql", "id = next value for s", False),
        ("sqlite", "random() < 0", False),
        ("sqlite", "randomblob(4) = data", False),
        ("sqlite", "changes() = 1", False),
        ("sqlite", "total_changes() = 1", False),
        ("sqlite", "id = last_insert_rowid()", False),
        ("sqlite", "load_extension('x')", False),
        ("sqlite", "strftime('%s') > created_at", True),
    ],
)
def test_what_answers_differently_is_refused(family: str, text: str, time: bool) -> None:
    error = refused(text, FAMILIES[family])
    assert "cannot be used" in error.message
    assert ("--older-than" in error.message) == time
    assert error.hint


@pytest.mark.parametrize(
    "text",
    [
        "created_at < 'now'::timestamp",
        "created_at < 'Yesterday'",
        "'today' <= created_at",
        "created_at between 'yesterday' and '2030-01-01'",
        "created_at = date 'today'",
        "created_at = timestamp with time zone 'now'",
        "created_at = timestamp(3) 'today 12:00'",
        "created_at = cast('tomorrow' as timestamptz)",
        "created_at = date('now')",
    ],
)
def test_postgresql_strings_that_mean_the_present_are_refused(text: str) -> None:
    error = refused(text)
    assert "another time" in error.message
    assert "now()" in error.hint


def frozen(text: str, words: SqlFunctions) -> str:
    found = predicate(text, words)
    return found.pinned({occurrence.spelling: f"<{occurrence.spelling}>" for occurrence in found.time_functions})


@pytest.mark.parametrize(
    ("family", "text", "expected"),
    [
        ("postgresql", "created_at < now()", "created_at < <now()>"),
        ("postgresql", "created_at<NOW ( )::date and n=1", "created_at<<now()>::date and n=1"),
        ("postgresql", "created_at < pg_catalog.now()", "created_at < <now()>"),
        ("postgresql", "n = other.now()", None),
        ("postgresql", 'events.now = 1 and now = 2 and "now" = 3', None),
        (
            "postgresql",
            "created_at < current_timestamp - interval '1 day'",
            "… <current_timestamp> - interval '1 day'",
        ),
        ("postgresql", "created_at < Current_Timestamp( 3 )", "created_at < <current_timestamp(3)>"),
        ("postgresql", "created_at < transaction_timestamp()", "created_at < <transaction_timestamp()>"),
        ("postgresql", "created_at < statement_timestamp()", "created_at < <statement_timestamp()>"),
        ("postgresql", "created_at < localtimestamp(0)", "created_at < <localtimestamp(0)>"),
        ("postgresql", "created_at < localtimestamp", "created_at < <localtimestamp>"),
        ("postgresql", "'😀' = status and date < current_date", "'😀' = status and date < <current_date>"),
        ("postgresql", "current_time < localtime(2)", "<current_time> < <localtime(2)>"),
        (
            "postgresql",
            "id in (select id from x where t < now())",
            "id in (select id from x where t < <now()>)",
        ),
        ("postgresql", "status = 'now()' or status = $$now()$$", None),
        ("postgresql", "date(now()) = date", "date(<now()>) = date"),
        ("mysql", "created_at < NOW() - interval 1 day", "created_at < <now()> - interval 1 day"),
        ("mysql", "created_at < now(6)", "created_at < <now(6)>"),
        ("mysql", "created_at < current_timestamp", "created_at < <current_timestamp>"),
        ("mysql", "created_at < CURRENT_TIMESTAMP()", "created_at < <current_timestamp()>"),
        (
            "mysql",
            "created_at < localtime or n < LOCALTIMESTAMP(3)",
            "… <localtime> or n < <localtimestamp(3)>",
        ),
        ("mysql", "date = curdate() or date = current_date", "date = <curdate()> or date = <current_date>"),
        ("mysql", "date = utc_date or date = utc_date()", "date = <utc_date> or date = <utc_date()>"),
        ("mysql", "curtime(2) < utc_time", "<curtime(2)> < <utc_time>"),
        ("mysql", "created_at < utc_timestamp(6)", "created_at < <utc_timestamp(6)>"),
        ("mysql", "n < unix_timestamp() - 5", "n < <unix_timestamp()> - 5"),
        ("mysql", "n < unix_timestamp(now())", "n < unix_timestamp(<now()>)"),
        ("mysql", '`now` = 1 and now = 2 and status = "now()"', None),
        ("sqlite", "created_at < CURRENT_TIMESTAMP", "created_at < <current_timestamp>"),
        ("sqlite", "date < current_date or date < current_time", "… <current_date> or date < <current_time>"),
        ("sqlite", "created_at < datetime('now', '-1 day')", "created_at < datetime(<'now'>, '-1 day')"),
        ("sqlite", "created_at < DateTime ( 'NOW' )", "created_at < DateTime ( <'now'> )"),
        ("sqlite", "created_at < datetime(date('now'))", "created_at < datetime(date(<'now'>))"),
        ("sqlite", "created_at < datetime() and n < unixepoch()", "… <datetime()> and n < <unixepoch()>"),
        (
            "sqlite",
            "julianday('now') - julianday(created_at) > 1",
            "julianday(<'now'>) - julianday(created_at) > 1",
        ),
        ("sqlite", "strftime('%s', 'now', 'localtime') > n", "strftime('%s', <'now'>, 'localtime') > n"),
        (
            "sqlite",
            "status = 'now' and date(created_at) < date('now')",
            "… and date(created_at) < date(<'now'>)",
        ),
        ("sqlite", "upper('now') = status", None),
        ("sqlite", "date = 1 and now = 2", None),
    ],
)
def test_time_functions_are_replaced_where_they_stand(family: str, text: str, expected: str | None) -> None:
    result = frozen(text, FAMILIES[family])
    if expected is None:
        assert result == text
    elif expected.startswith("… "):
        assert result.endswith(expected[2:])
    else:
        assert result == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("datetime(coalesce(created_at, 'now')) > 1", "cannot be pinned"),
        ("datetime('subsec') > created_at", "present moment"),
        ('id in (select id from x where t < datetime("now"))', "may mean the present"),
    ],
)
def test_sqlite_moments_that_cannot_be_pinned(text: str, said: str) -> None:
    assert said in refused(text, SQLITE).message


def test_sqlite_now_in_double_quotes_is_a_column_or_nothing() -> None:
    assert predicate('created_at < datetime("now")', SQLITE).columns == {"created_at", "now"}
    with pytest.raises(UsageError) as caught:
        parse_condition('id < datetime("now")', functions=SQLITE, table="events", columns=["id"])
    assert "'now'" in caught.value.hint


def test_freezing_asks_once_for_each_meaning() -> None:
    asked: list[str] = []

    def evaluate(select: str) -> str:
        asked.append(select)
        return f"O'{len(asked)}{{}}"

    literals = evaluate_time_functions(SQLITE, ["'now'", "date()", "current_date", "'now'"], evaluate)
    assert len(asked) == 2
    assert literals == {"'now'": "'O''1{}'", "date()": "'O''2{}'", "current_date": "'O''2{}'"}


@pytest.mark.parametrize("spelling", sorted(SQLITE.time_functions))
def test_sqlite_literals_mean_the_same(spelling: str) -> None:
    wrap = "strftime('%Y-%m-%d %H:%M', {})" if spelling == "'now'" else "{}"
    connection = sqlite3.connect(":memory:")
    (literal,) = evaluate_time_functions(
        SQLITE, [spelling], lambda sql: connection.execute(f"SELECT {sql}").fetchone()[0]
    ).values()
    word, stands = wrap.format(spelling), wrap.format(literal)
    row = connection.execute(f"SELECT {word}, {stands}, typeof({word}), typeof({stands})").fetchone()
    connection.close()
    assert row[2] == row[3]
    if row[2] == "text":
        assert len(row[0]) == len(row[1])
        assert row[0][:5] == row[1][:5] or "time" in spelling
    else:
        assert row[0] == pytest.approx(row[1], abs=2)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("is_deleted", {"is_deleted"}),
        ("ID = 1 and \"status\" = 'x'", {"id", "status"}),
        ("created_at::date > date '2020-01-01'", {"created_at"}),
        ("n in (select status from x)", {"n"}),
        ("to_jsonb(events) is null", set(COLUMNS)),
        ("ctid is null", set()),
        ("@ n > 1 and data @@@ tags", {"n", "data", "tags"}),
        ("xmlexists('//x' passing by ref data)", {"data"}),
    ],
)
def test_columns_read(text: str, columns: set[str]) -> None:
    assert predicate(text).columns == columns


def test_what_the_parser_cannot_follow_is_left_to_the_server() -> None:
    found = predicate("xmlexists('//x' passing by ref data) and created_at < now()")
    assert not found.followed
    assert [occurrence.spelling for occurrence in found.time_functions] == ["now()"]
    assert "cannot be used" in refused("xmlexists('//x' passing by ref data) and random() < 1").message


@pytest.mark.full
def test_very_long_conditions_pass() -> None:
    assert predicate(f"id in ({', '.join(map(str, range(20_000)))})").columns == {"id"}
    assert predicate(" or ".join(f"id = {n}" for n in range(3_000))).columns == {"id"}
    assert predicate("(" * 2_000 + "id = 1" + ")" * 2_000).columns == {"id"}


@pytest.mark.parametrize(
    ("family", "text", "column", "value"),
    [
        ("postgresql", "status = 'done'", "status", "'done'"),
        ("postgresql", " STATUS=lower( status ) ", "status", "lower( status )"),
        ("postgresql", '"status" = null', "status", "null"),
        ("postgresql", "is_deleted = n = 5", "is_deleted", "n = 5"),
        ("postgresql", "date = created_at::date", "date", "created_at::date"),
        ("postgresql", "call = (select max(x) from y)", "call", "(select max(x) from y)"),
        ("mysql", "`Status` = 'x'", "status", "'x'"),
        ("mysql", "events.n = n + 1", "n", "n + 1"),
        ("sqlite", "[n] = max(n, 5)", "n", "max(n, 5)"),
    ],
)
def test_assignments(family: str, text: str, column: str, value: str) -> None:
    found = assignment(text, FAMILIES[family])
    assert (found.column, found.expression.text) == (column, value)


@pytest.mark.parametrize(
    ("family", "text", "refused"),
    [
        ("postgresql", "user = 'postgres'", True),
        ("postgresql", "lower(User) = 'postgres'", True),
        ("postgresql", "id > 1 and current_date < date '2024-01-01'", True),
        ("postgresql", "\"user\" = 'postgres'", False),
        ("postgresql", "events.user = 'postgres'", False),
        ("mysql", "user = 'root'", False),
        ("mysql", "current_date < '2024-01-01'", True),
        ("sqlite", "oid = 1", False),
        ("sqlite", "current_date < '2024-01-01'", True),
    ],
)
def test_a_word_that_hides_a_column_is_refused(family: str, text: str, refused: bool) -> None:
    """user = 'postgres' is true for every row where the session's user is called so."""
    parse = partial(parse_condition, text, functions=FAMILIES[family], table="events", columns=SHADOWED)
    if not refused:
        parse()
        return
    with pytest.raises(UsageError, match="not the column of that name"):
        parse()


@pytest.mark.parametrize(
    ("family", "text"),
    [
        ("postgresql", "data = gen_random_uuid()"),
        ("postgresql", "n = nextval('s')"),
        ("postgresql", "n = random() * n"),
        ("postgresql", "n = default"),
        ("mysql", "status = replace(uuid(), '-', '')"),
        ("mysql", "n = next value for s"),
        ("mysql", "n = DEFAULT(n)"),
        ("sqlite", "data = lower(hex(randomblob(16)))"),
    ],
)
def test_each_row_may_be_given_a_value_of_its_own(family: str, text: str) -> None:
    found = assignment(text, FAMILIES[family])
    assert found.expression.fresh
    assert not plainly_idempotent([found])


def test_sqlite_sets_no_default() -> None:
    with pytest.raises(UsageError):
        assignment("n = default", FAMILIES["sqlite"])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("n < (SELECT max(n) FROM t)", [("(SELECT max(n) FROM t)", True)]),
        ("n < ((SELECT max(n) FROM t))", [("((SELECT max(n) FROM t))", True)]),
        ("coalesce((SELECT 1), 0) = n", [("(SELECT 1)", True)]),
        ("NOT EXISTS (SELECT 1 FROM u)", [("EXISTS (SELECT 1 FROM u)", True)]),
        ("id IN (SELECT id FROM t LIMIT 1)", [("(SELECT id FROM t LIMIT 1)", False)]),
        ("id IN ((SELECT id FROM t))", [("(SELECT id FROM t)", False)]),
        ("id = ANY (SELECT id FROM t)", [("(SELECT id FROM t)", False)]),
        ("id = ANY((SELECT array_agg(id) FROM t))", [("(SELECT array_agg(id) FROM t)", False)]),
        ("id IN ((SELECT 1) UNION (SELECT 2))", [("(SELECT 1)", False), ("(SELECT 2)", False)]),
        ("id IN (WITH c AS (SELECT 1) SELECT * FROM c)", [("(WITH c AS (SELECT 1) SELECT * FROM c)", False)]),
        ("'(SELECT 1)' = n::text", []),
    ],
)
def test_which_sub_selects_stand_for_one_value(text: str, found: list[tuple[str, bool]]) -> None:
    assert [(text[s.start : s.end], s.value) for s in subselects(tokenize(text, "postgres"))] == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("EXISTS (SELECT 1 FROM t r WHERE r.n = (SELECT max(n) FROM t))", ["(SELECT max(n) FROM t)"]),
        ("id IN (SELECT id FROM t, (SELECT max(n) AS m FROM t) x)", []),
        ("id IN (WITH c AS (SELECT 1) SELECT n FROM t WHERE n = (SELECT * FROM c))", []),
    ],
)
def test_sub_selects_within_another(text: str, found: list[str]) -> None:
    pieces = tokenize(text, "postgres")
    (outer,) = subselects(pieces)
    assert [text[s.start : s.end] for s in inner_subselects(pieces, outer) if s.value] == found


def test_time_functions_of_an_assignment_count_from_its_value() -> None:
    value = assignment("  created_at =  coalesce(created_at, now())").expression
    assert value.pinned({"now()": "X"}) == "coalesce(created_at, X)"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "column = expression"),
        ("status", "column = expression"),
        ("status == 1", "column = expression"),
        ("tags[1] = 2", "column = expression"),
        ("(id, n) = (1, 2)", "column = expression"),
        ("'status' = 1", "column = expression"),
        ("status =", "set to nothing"),
        ("statsu = 1", "no column"),
        ("n = 1, status = 2", "comma"),
        ("n = 1 -- x", "comment"),
        ("n = 1 where id = 1", "where"),
        ("n = currval('s')", "cannot be used"),
        ("n = clock_timestamp()", "cannot be used"),
        ("n = max(n)", "aggregate"),
        ("n = :n", ":n"),
        ("n = nosuch + 1", "nosuch"),
        ("n = select 1", "SELECT"),
    ],
)
def test_assignments_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        assignment(text)
    assert caught.value.message.startswith("--set: ")
    assert said.lower() in caught.value.message.lower()


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["status = 'x'"], True),
        (["status = lower(call)", "n = id * 2"], True),
        (["created_at = now()"], True),
        (["n = n + 1"], False),
        (["n = id", "id = N"], False),
        (["status = lower(events.status)"], False),
        (["data = to_jsonb(events)"], False),
        (["n = (select max(n) from events)"], False),
        (["n = @ n"], False),
        (["n = id <% n"], False),
    ],
)
def test_plainly_idempotent(texts: list[str], expected: bool) -> None:
    assert plainly_idempotent(assignment(text) for text in texts) is expected
