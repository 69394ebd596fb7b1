"""The commands batchops outbox init, show, check, redrive and replay."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import rich_click as click

from batchops import durations
from batchops.cli.execute import command_for
from batchops.cli.help import Group
from batchops.cli.outbox_options import SCHEMA, TABLE, URL, OpenedOutbox, named_outbox, opened, outbox_flags
from batchops.errors import UsageError
from batchops.outbox.relay_registry import Registered, Registry
from batchops.outbox.replay import VERB as REPLAY
from batchops.outbox.status import OutboxStatus
from batchops.outbox.tables import PAYLOADS, OutboxTables, outbox_ddl, writer_locks_ddl
from batchops.outbox.verify import findings, gravest
from batchops.reporters.document import as_json, rounded
from batchops.reporters.figures import count, counted, visible

LISTED = 20
"""How many refused events `show` and a dry run of `redrive` list."""
JSON = click.option("--json", "as_json_document", is_flag=True, help="Print one JSON document on stdout.")


@click.group("outbox", cls=Group)
def command() -> None:
    """Create an outbox, show it, verify its order, send events again."""


command.add_command(command_for(REPLAY))


@command.command("init")
@TABLE
@URL
@SCHEMA
@click.option(
    "--payload", type=click.Choice(PAYLOADS), default="text", show_default=True, help="Type of the payload column."
)
@click.option("--apply", is_flag=True, help="Run the SQL instead of printing it.")
def init(table: str, url: str | None, ledger_schema: str | None, payload: str, apply: bool) -> None:
    """Print the SQL that creates TABLE (default: outbox), its index and its helper tables. --apply runs it.

    A table that exists is left unchanged.
    """
    with opened(url) as database:
        tables = OutboxTables(database, ledger_schema)
        with database.reading() as connection:
            own = [*outbox_ddl(connection, database, table, payload)]
            statements = [*own, *tables.ddl(), *writer_locks_ddl(connection, database)]
        if not apply:
            for statement in statements:
                click.echo(f"{statement};")
            return
        for statement in statements:
            with database.transaction() as connection:
                connection.exec_driver_sql(statement)
    click.echo(f"{table} can be written to and relayed.")


@command.command("show")
@outbox_flags
@JSON
def show(as_json_document: bool, **named: Any) -> None:
    """Show the state of the outbox TABLE: backlog, oldest event, relays, refused events with reasons."""
    with named_outbox(**named) as found:
        status = _status(found)
    if as_json_document:
        click.echo(as_json(status))
        return
    for line in _lines(status):
        click.echo(line)


@command.command("check")
@outbox_flags
@JSON
@click.pass_context
def check(context: click.RichContext, /, as_json_document: bool, **named: Any) -> None:
    """Verify from TABLE that no event was skipped and that each aggregate's events were sent in order.

    Reads the whole table. Exit 0: proved. 13: violated. 3: the table does not hold enough information.
    """
    with named_outbox(**named) as found, found.database.reading() as connection:
        results = findings(connection, found.outbox, found.failures)
    code = gravest(results)
    if as_json_document:
        label = found.outbox.table.label
        click.echo(as_json({"table": label, "exit": int(code), "findings": [asdict(one) for one in results]}))
    else:
        for one in results:
            more = " …" if one.count > len(one.events) else ""
            named_events = f": {', '.join(one.events)}{more}" if one.events else ""
            counted = f"{count(one.count)} events {one.text}{named_events}" if one.count else one.text
            click.echo(f"{one.about:<10}{visible(counted)}")
    context.exit(int(code))


@command.command("redrive")
@outbox_flags
@click.option("--event", "events", metavar="ID", multiple=True, help="A refused event by its id. Repeatable.")
@click.option("--all", "everything", is_flag=True, help="All refused events.")
@click.option("-n", "--dry-run", is_flag=True, help="Print how many events it would be, and which. Change nothing.")
def redrive(events: tuple[str, ...], everything: bool, dry_run: bool, **named: Any) -> None:
    """Try refused events of TABLE again now, with no attempts counted."""
    if bool(events) == everything:
        raise UsageError("Which events? Give --event or --all, one of the two.")
    if dry_run:
        with named_outbox(**named) as found, found.database.reading() as connection:
            which = found.failures.named(connection, events or None) if found.tables.there(connection) else []
        shown = f": {', '.join(which[:LISTED])}{' …' if len(which) > LISTED else ''}" if which else ""
        label = found.outbox.table.label
        click.echo(visible(f"{label}: {counted(len(which), 'event')} would be tried again{shown}."))
        return
    with named_outbox(**named) as found, found.database.transaction() as connection:
        back = found.failures.redrive(connection, events or None)
    click.echo(f"{found.outbox.table.label}: {count(back)} events are tried again.")


def _relay(relay: Registered, shards: Sequence[int]) -> dict[str, Any]:
    return {
        "host": relay.owner.host,
        "pid": relay.owner.pid,
        "since": datetime.fromtimestamp(relay.since, UTC).isoformat(timespec="seconds"),
        "seconds": rounded(relay.left),
        "shards": list(shards),
    }


def _status(found: OpenedOutbox) -> dict[str, Any]:
    with found.database.reading() as connection:
        counts = OutboxStatus(found.outbox, found.failures).counts(connection)
        there = found.tables.there(connection)
        refused = found.failures.listed(connection, LISTED) if there else []
        states = found.failures.by_state(connection) if there else {}
        registry = Registry(found.database, found.tables.relays, found.tables.shards, found.outbox.table.label)
        holders = registry.holders(connection) if there else ()
        relays = [one for one in registry.relays(connection) if not one.gone] if there else []
        live = {one.relay for one in relays}
    return {
        "table": found.outbox.table.label,
        "backlog": counts.backlog,
        "oldest_seconds": rounded(counts.oldest),
        "waiting": counts.waiting,
        "refused": {state.value: number for state, number in states.items()},
        "relays": [_relay(one, [n for n, holder in enumerate(holders) if holder == one.relay]) for one in relays],
        "shards": len(holders),
        "unowned_shards": [n for n, holder in enumerate(holders) if holder not in live],
        "events": [asdict(one) | {"pause": rounded(one.pause)} for one in refused],
    }


def _lines(status: dict[str, Any]) -> Iterator[str]:
    yield visible(status["table"])
    oldest = status["oldest_seconds"]
    age = "" if oldest is None else f", the oldest for {durations.show(oldest)}"
    yield f"  {'backlog':<10}{count(status['backlog'])} events to be sent{age}"
    yield f"  {'waiting':<10}{count(status['waiting'])} events that wait for a refused event of their aggregate"
    refused = ", ".join(f"{count(number)} {state}" for state, number in status["refused"].items())
    yield f"  {'refused':<10}{refused or 'none'}"
    for relay in status["relays"]:
        which = ", ".join(map(str, relay["shards"])) or "none"
        yield f"  {'relay':<10}process {relay['pid']} on {visible(relay['host'])}, shards: {which}"
    if status["unowned_shards"] or not status["shards"]:
        unowned = (
            f"{len(status['unowned_shards'])} of {status['shards']} shards have" if status["shards"] else "there is"
        )
        yield f"  {'relay':<10}{unowned} no running relay"
    for event in status["events"]:
        due = f", again in {durations.show(event['pause'])}" if event["state"] == "waiting" else ""
        what = f"event {event['event']} of {event['aggregate']}, {event['attempts']} attempts{due}"
        yield f"  {event['state']:<10}{visible(what)}: {visible(event['reason'])}"
