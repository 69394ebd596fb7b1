"""The timeout that the client keeps where the server has none for writes."""

import threading

from batchops.db.mysql.watchdog import Watchdog
from tests.waiting import until


class Connection:
    """A statement that runs until it is killed."""

    def __init__(self) -> None:
        self.killed = threading.Event()

    def run(self) -> None:
        assert self.killed.wait(60)


def test_a_statement_that_runs_too_long_is_killed_and_no_other() -> None:
    slow, quick = Connection(), Connection()
    watchdog = Watchdog(0.05, lambda connection: connection.killed.set())
    with watchdog.watching(quick):
        pass
    with watchdog.watching(slow):
        slow.run()
    assert not quick.killed.is_set()


def test_a_kill_that_does_not_arrive_is_sent_again() -> None:
    connection, tries = Connection(), []

    def kill(connection: Connection) -> None:
        tries.append(connection)
        if len(tries) < 3:
            raise OSError("the server does not answer")
        connection.killed.set()

    with Watchdog(0.01, kill).watching(connection):
        connection.run()
    assert len(tries) == 3


def test_the_next_statement_waits_for_a_kill_that_is_under_way() -> None:
    """A KILL that comes late would hit a statement that has just begun."""
    connection, sent, arrived = Connection(), threading.Event(), threading.Event()
    over = []

    def kill(_: Connection) -> None:
        sent.set()
        arrived.wait(60)

    watchdog = Watchdog(0.01, kill)

    def statement() -> None:
        with watchdog.watching(connection):
            sent.wait(60)
        over.append(arrived.is_set())

    thread = threading.Thread(target=statement)
    thread.start()
    assert sent.wait(60)
    thread.join(0.05)
    assert thread.is_alive()
    arrived.set()
    thread.join(60)
    assert over == [True]


def test_the_thread_ends_when_there_is_nothing_to_watch_and_starts_again() -> None:
    watchdog = Watchdog(0.01, lambda connection: connection.killed.set())
    for _ in range(3):
        connection = Connection()
        with watchdog.watching(connection):
            connection.run()
        until(lambda: all(thread.name != "batchops-watchdog" for thread in threading.enumerate()))
