import os
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine

from batchops.db.mysql import urls as mysql_urls
from batchops.db.sqlite.urls import file_url
from batchops.db.urls import DatabaseAddress, address, redact
from batchops.errors import BatchopsError, UsageError

CANARY = "S3CR3T-0b5e"


def at(given: str | None, **environ: str) -> DatabaseAddress:
    return address(given, environ)


def arguments(found: DatabaseAddress) -> dict[str, object]:
    """What the driver would be called with."""
    engine = create_engine(found.url)
    positional, named = engine.dialect.create_connect_args(found.url)
    return {"positional": positional, **named}


def refused(given: str | None, **environ: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        address(given, environ)
    assert "\n" not in caught.value.message
    return caught.value


def test_the_flag_goes_before_the_variables() -> None:
    environ = {"BATCHOPS_URL": "mysql://b/x", "DATABASE_URL": "mysql://d/x"}
    assert at("mysql://a/x", **environ).url.host == "a"
    assert at(None, **environ).url.host == "b"
    assert at(None, BATCHOPS_URL=" ", DATABASE_URL="mysql://d/x").url.host == "d"


def test_no_url_names_every_way_to_give_one() -> None:
    error = refused(None)
    assert error.exit == 2
    assert all(way in error.hint for way in ("--url", "BATCHOPS_URL", "DATABASE_URL"))
    assert "--url is empty" in refused("").message


@pytest.mark.parametrize(
    "scheme", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg"]
)
def test_every_spelling_of_postgresql_is_psycopg(scheme: str) -> None:
    found = at(f"{scheme}://u@h:5433/d")
    assert found.url.drivername == "postgresql+psycopg"
    assert found.conninfo == "postgresql://u@h:5433/d"


def test_a_bare_postgresql_url_leaves_everything_to_libpq() -> None:
    assert conninfo_to_dict(at("postgresql://").conninfo) == {}
    assert arguments(at("postgresql://"))["positional"] == [""]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://h1:5432,h2:5433/db?target_session_attrs=read-write",
        "postgresql://u:p%40%3A%2F%25@[::1]:5433/db",
        "postgresql://h1,h2/db?port=5432",
        "postgresql://h1:1,h2/db",
        "postgresql:///db?host=/tmp&ssl=true",
        "postgresql://?service=reporting",
        "postgresql://u@%2Fvar%2Frun/db?options=-c%20geqo%3Doff&application_name=a+b",
    ],
)
def test_libpq_and_sqlalchemy_are_told_the_same(url: str) -> None:
    found = at(url)
    told = arguments(found)
    del told["positional"], told["context"]
    libpq = conninfo_to_dict(found.conninfo)
    if libpq.get("port") == "5432" and "," in str(libpq.get("host")):
        libpq["port"] = "5432,5432"
    assert {name: str(value) for name, value in told.items()} == libpq


@pytest.mark.parametrize("scheme", ["mysql", "mariadb", "mysql+pymysql", "mariadb+mariadbconnector"])
def test_every_spelling_of_mysql_is_pymysql(scheme: str) -> None:
    told = arguments(at(f"{scheme}://u:p%40%2F@[2001:db8::1]:3307/d"))
    assert (told["host"], told["port"], told["user"], told["password"]) == ("2001:db8::1", 3307, "u", "p@/")
    assert told["local_infile"] is False


def option_file(home: Path, text: str) -> dict[str, str]:
    (home / ".my.cnf").write_text(text)
    return {"HOME": str(home)}


def test_my_cnf_fills_in_what_the_url_leaves_open(tmp_path: Path) -> None:
    home = option_file(
        tmp_path,
        f"!includedir /nowhere\n[client]\nuser = ann\npassword='{CANARY}=%#'\nsocket=/s\nhost=h\nport=3310\n",
    )
    told = arguments(at("mysql:///shop", **home))
    assert told["user"] == "ann"
    assert told["password"] == f"{CANARY}=%#"
    assert (told["host"], told["port"], told["database"]) == ("h", 3310, "shop")
    assert "unix_socket" not in told
    assert CANARY not in redact(f"no entry for {CANARY}=%#", at("mysql://", **home))


def test_my_cnf_does_not_lead_away_from_the_host_in_the_url(tmp_path: Path) -> None:
    home = option_file(tmp_path, "[client]\nuser=ann\nhost=elsewhere\nsocket=/s\nport=3310\n")
    told = arguments(at("mysql://bob:x@db1/shop", **home))
    assert (told["host"], told["user"]) == ("db1", "bob")
    assert not {"port", "unix_socket"} & told.keys()
    assert arguments(at("mysql://localhost/shop", **home))["unix_socket"] == "/s"


def test_another_option_file_and_group(tmp_path: Path) -> None:
    file = tmp_path / "other.cnf"
    file.write_text("[nightly]\nuser=carl\n")
    found = at(f"mysql://h/d?read_default_file={file}&read_default_group=nightly")
    assert arguments(found)["user"] == "carl"
    assert "does not exist" in refused("mysql://h/d?read_default_file=/nowhere.cnf").message


def test_a_broken_option_file_is_not_repeated(tmp_path: Path) -> None:
    error = refused("mysql://", **option_file(tmp_path, f"password={CANARY}\n"))
    assert "cannot be read" in error.message
    assert CANARY not in str(error)
    assert error.__cause__ is None


def test_localhost_takes_the_socket_unless_a_port_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    socket = tmp_path / "mysqld.sock"
    socket.touch()
    monkeypatch.setattr(mysql_urls, "_SOCKETS", (str(tmp_path / "none"), str(socket)))
    for url in ("mysql://", "mysql://localhost/d", "mysql://u:p@localhost/d"):
        assert arguments(at(url))["unix_socket"] == str(socket)
    for url in ("mysql://127.0.0.1/d", "mysql://localhost:3306/d"):
        assert "unix_socket" not in arguments(at(url))
    assert arguments(at("mysql:///d?unix_socket=/mine"))["unix_socket"] == "/mine"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("ssl-mode=REQUIRED", {"ssl": {"check_hostname": False}}),
        ("ssl_mode=verify_ca&ssl_ca=/ca", {"ssl": {"ca": "/ca", "check_hostname": False}}),
        ("ssl_verify_identity=true&ssl_ca=/ca", {"ssl": {"ca": "/ca", "check_hostname": True}}),
        ("ssl_ca=/ca", {"ssl": {"ca": "/ca"}}),
        ("ssl_disabled=true", {"ssl_disabled": "true"}),
        ("ssl_disabled=false", {}),
    ],
)
def test_tls_words_of_mysql(query: str, expected: dict[str, object]) -> None:
    told = arguments(at(f"mysql://h/d?{query}"))
    assert {name: value for name, value in told.items() if name.startswith("ssl")} == expected


def test_verifying_needs_somebody_to_trust() -> None:
    assert "ssl_ca" in refused("mysql://h/d?ssl-mode=VERIFY_IDENTITY").hint
    assert "REQUIRED" in refused("mysql://h/d?ssl-mode=yes").hint


@pytest.mark.parametrize("name", ["plain.db", "with space.db", "odd#name%3F.db", "at@home.db", "ünï.db"])
def test_sqlite_opens_the_file_and_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    engine = create_engine(at(f"sqlite:///{name.replace('%', '%25')}").url)
    with pytest.raises(Exception, match="unable to open"):
        engine.connect()
    assert os.listdir(tmp_path) == []
    (tmp_path / name).touch()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA database_list").one()[2] == str(tmp_path / name)
    engine.dispose()


def test_sqlite_absolute_and_read_only(tmp_path: Path) -> None:
    (tmp_path / "a.db").touch()
    engine = create_engine(at(f"sqlite:///{tmp_path}/a.db?mode=ro").url)
    with engine.connect() as connection, pytest.raises(Exception, match="readonly"):
        connection.exec_driver_sql("CREATE TABLE t (n)")
    engine.dispose()


def test_a_new_file_on_purpose(tmp_path: Path) -> None:
    engine = create_engine(file_url(str(tmp_path / "ledger.db"), mode="rwc"))
    engine.connect().close()
    engine.dispose()
    assert (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///x?mode=memory"])
def test_a_database_in_memory_is_refused(url: str) -> None:
    assert "memory" in refused(url).message


@pytest.mark.parametrize("given", ["shop.db", "./shop.db"])
def test_a_bare_path_is_told_its_url(given: str) -> None:
    assert "sqlite:///shop.db" in refused(given).hint


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ("postgre://h/d", "did you mean postgres://?"),
        ("postgresq://h/d", "did you mean postgresql://?"),
        ("jdbc:mariadb://h/d", "did you mean mariadb://?"),
        ("oracle://h/d", "postgresql://"),
        ("mysql+nonsense://h/d", "did you mean mysql://?"),
        ("host=h dbname=d", "postgresql://?host="),
        ("sqlite://shop.db", "sqlite:///"),
        ("mysql://h/d?unix_sokcet=/x", "unix_socket"),
        ("postgresql://h/d?sslmod=require", "sslmode"),
    ],
)
def test_a_slip_is_told_the_way_out(given: str, hint: str) -> None:
    assert hint in refused(given).hint


def test_a_missing_driver_is_told_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pymysql", None)
    error = refused("mysql://h/d")
    assert "pymysql is not installed" in error.message
    assert 'pip install "pymysql"' in error.hint


@pytest.mark.parametrize("family", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    "rest",
    [
        f"u:{CANARY}@h:port/d",
        f"u:{CANARY}@h:99999/d",
        f"u:{CANARY}@[::1/d",
        f"u:x@{CANARY}@h/d",
        f"u:x/{CANARY}@h/d",
        f"u:12/{CANARY}@h/d",
        f"u:x?{CANARY}@h/d",
        f"u:{CANARY}\n@h/d",
        f"u:{CANARY}@h/d?nonsense={CANARY}",
    ],
)
def test_no_error_repeats_a_password(family: str, rest: str) -> None:
    error = refused(f"{family}://{rest}")
    assert CANARY not in f"{error.message} {error.hint}"
    assert error.__cause__ is None


def test_broken_percent_encoding_is_not_repeated() -> None:
    assert CANARY not in refused(f"postgresql://u:{CANARY}%zz@h/d").message
    assert CANARY not in refused(f"{CANARY}@h/d").message
    assert CANARY not in refused(f"u:{CANARY}@h://d").message


def test_what_may_be_printed_holds_no_password() -> None:
    found = at(f"postgres://u:{CANARY}@h1:1,h2:2/d?sslpassword={CANARY}2&passfile=/p&sslmode=require")
    assert found.shown == "postgres://u:***@h1:1,h2:2/d?sslpassword=***&passfile=/p&sslmode=require"
    assert CANARY not in repr(found)
    assert CANARY not in repr(found.url)
    assert found.url.password == CANARY


def test_a_password_by_flag_is_warned_of() -> None:
    found = at("mysql://u:secret@h/d")
    assert len(found.warnings) == 1
    assert all(way in found.warnings[0] for way in ("BATCHOPS_URL", "env:", "file:", "cmd:"))
    assert at("postgresql://h/d?password=secret").warnings == found.warnings
    for quiet in (at("mysql://u@h/d"), at(None, BATCHOPS_URL="mysql://u:secret@h/d")):
        assert not quiet.warnings


def test_redact_finds_every_form_of_a_password() -> None:
    found = at("postgresql://u:p%40ss%20w%2Fo'rd@h/d")
    for form in (
        "p@ss w/o'rd",
        "p%40ss%20w%2Fo'rd",
        "p%40ss+w%2Fo%27rd",
        "p@ss w/o\\'rd",
        "p%40ss%20w/o%27rd",
    ):
        assert redact(f"<{form}>", found) == "<***>"
    assert redact("could not reach mysql://a:other@h", found) == "could not reach mysql://a:***@h"
    assert redact("bad conninfo: user=u password=other", found) == "bad conninfo: user=u password=***"


def test_pgpassword_is_kept_out_too() -> None:
    assert redact(f"no {CANARY}", at("postgresql://", PGPASSWORD=CANARY)) == "no ***"


def test_a_url_from_the_environment_a_file_and_a_command(tmp_path: Path) -> None:
    url = f"mysql://u:{CANARY}@h/d"
    file = tmp_path / "url"
    file.write_text(f"  {url} \nmore\n")
    file.chmod(0o600)
    for found in (
        at("env:MINE", MINE=url),
        at(f"file:{file}"),
        at(f"cmd:/bin/cat '{file}'"),
        at(None, BATCHOPS_URL=f"file:{file}"),
    ):
        assert found.url.password == CANARY
        assert not found.warnings


def test_a_file_that_all_may_read_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("mysql://u:secret@h/d")
    file.chmod(0o644)
    assert "chmod 600" in at(f"file:{file}").warnings[0]
    file.write_text("mysql://u@h/d")
    assert not at(f"file:{file}").warnings


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("env:NOWHERE", 'no environment variable "NOWHERE"'),
        ("env:EMPTY", "holds no database URL"),
        ("env:AGAIN", "another reference"),
        ("file:/no/such/file", "No such file"),
        ("cmd:", "needs a program"),
        ("cmd:'unbalanced", "needs a program"),
        ("cmd:/no/such/program", "cannot run"),
        ("cmd:/bin/true", "holds no database URL"),
        ("cmd:/bin/sh -c 'echo cannot open mysql://u:hidden@h >&2; exit 3'", "ended with 3: cannot open"),
    ],
)
def test_a_reference_that_leads_nowhere(given: str, words: str) -> None:
    error = refused(given, EMPTY="", AGAIN="env:AGAIN")
    assert words in error.message
    assert "hidden" not in error.message


def test_a_command_is_no_shell(tmp_path: Path) -> None:
    refused(f"cmd:/bin/echo; touch {tmp_path}/made")
    assert not (tmp_path / "made").exists()


def test_errors_name_where_the_url_was_found() -> None:
    assert "(DATABASE_URL)" in refused(None, DATABASE_URL="mysql://h:x/d").message


def test_every_refusal_is_a_usage_error() -> None:
    assert issubclass(UsageError, BatchopsError)
    assert refused("nonsense").exit == 2
