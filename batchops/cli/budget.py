"""The commands batchops budget set and show."""

from dataclasses import asdict

import rich_click as click

from batchops.budget.address import budget_address
from batchops.budget.shares import Limits, budgets_at, share_of
from batchops.cli.help import Command, Group
from batchops.errors import UsageError
from batchops.reporters.document import as_json
from batchops.reporters.figures import counted
from batchops.runtime.rate import Rate
from batchops.spec.parsers import rate as parsed_rate


@click.group("budget", cls=Group)
def command() -> None:
    """Set or show a rate and a number of workers that several runs share: --budget URL#NAME."""


@command.command("set", cls=Command)
@click.argument("budget", metavar="URL#NAME")
@click.option("--rate", metavar="5000/s", help="Rows that all runs may change together in a second.")
@click.option("--workers", type=click.IntRange(1, 10_000), metavar="N", help="Workers that all runs may have together.")
def define(budget: str, rate: str | None, workers: int | None) -> None:
    """Make a budget, or change it for all runs that share it now.

    A limit that is not given is removed. FILE#NAME keeps it in a SQLite file,
    which is made; without either before # the database is that of BATCHOPS_URL.
    """
    if rate is None and workers is None:
        raise UsageError("A budget needs a limit.", "give --rate, --workers or both.")
    try:
        limit = None if rate is None else parsed_rate(rate)
    except ValueError as error:
        raise UsageError(f"--rate: {error}.") from None
    address = budget_address(budget, makes=True)
    with budgets_at(address) as budgets:
        budgets.define(address.name, Limits(limit.rows if isinstance(limit, Rate) else None, workers))
    said = [f"{rate} rows" if rate else "", counted(workers, "worker") if workers else ""]
    click.echo(f"Budget {address.name}: {', '.join(one for one in said if one)}.")


@command.command("show", cls=Command)
@click.argument("budget", metavar="URL#NAME")
@click.option("--json", "as_document", is_flag=True, help="Print one JSON document on stdout.")
def show(budget: str, as_document: bool) -> None:
    """Show a budget, and the runs that share it now."""
    address = budget_address(budget)
    with budgets_at(address) as budgets:
        limits, members = budgets.limits(address.name), budgets.members(address.name)
    shares = [share_of(limits, members, member.token) for member in members]
    if as_document:
        runs = [
            {**asdict(member), "share": {"rate": share.rate, "workers": share.workers}}
            for member, share in zip(members, shares, strict=True)
        ]
        click.echo(as_json({"budget": address.name, "rate": limits.rate, "workers": limits.workers, "runs": runs}))
        return
    rate = "no rate" if limits.rate is None else f"{limits.rate:,.6g} rows/s"
    workers = "any number of workers" if limits.workers is None else counted(limits.workers, "worker")
    click.echo(f"{address.name}: {rate}, {workers}; {counted(len(members), 'run')}")
    for member, share in zip(members, shares, strict=True):
        own = "" if share.rate is None else f" {share.rate:,.6g} rows/s"
        having = "" if share.workers is None else f" {counted(share.workers, 'worker')}"
        click.echo(f"  {member.job} by {member.user}@{member.host}, process {member.pid}:{own}{having}")
