"""Names of other tools: each hint names what there is, and none of them is a name of ours."""

import re

import rich_click as click

from batchops.cli.app import COMMANDS, cli
from batchops.spec import foreign_names
from batchops.spec.foreign_names import command_hint, option_hint


def commands() -> dict[str, click.Command]:
    """Every command by its path."""
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for name in COMMANDS}
    groups = {name: group for name, group in found.items() if isinstance(group, click.Group)}
    found |= {f"{name} {sub}": each for name, group in groups.items() for sub, each in group.commands.items()}
    return {name: command for name, command in found.items() if command is not None}


def options(command: click.Command) -> set[str]:
    return {name for param in command.params if isinstance(param, click.Option) for name in param.opts}


def test_the_names_are_not_ours() -> None:
    ours = commands()
    foreign = {name for names in foreign_names._COMMANDS.values() for name in names.split()}
    assert foreign & ours.keys() == set()
    subcommands = {
        f"{group} {name}"
        for group, table in foreign_names._SUBCOMMANDS.items()
        for names in table.values()
        for name in names.split()
    }
    assert subcommands & ours.keys() == set()


def test_what_a_hint_names_is_there() -> None:
    ours = commands()
    for hint in [*foreign_names._COMMANDS, *(h for table in foreign_names._SUBCOMMANDS.values() for h in table)]:
        for named in re.findall(r"batchops ([a-z]+(?: [a-z]+)?)", hint):
            assert named in ours or named.split()[0] in ours, hint
    every = set().union(*map(options, ours.values()))
    for hint in foreign_names._OPTIONS:
        assert set(re.findall(r"--[a-z][a-z-]*", hint)) <= every, hint


def test_a_hint_is_given_where_it_helps() -> None:
    assert command_hint("Delete").startswith("purge deletes rows")
    assert command_hint("status", "queue") == "`batchops queue show` does that."
    assert (command_hint("delte"), command_hint("deletes")) == ("", "")
    having = {"--batch-size", "--max-rows", "--max-attempts", "--lease"}
    assert option_hint("--limit", having).startswith("--batch-size is the rows of a batch")
    assert option_hint("chunk_size", having) == "--batch-size fixes the rows of a batch."
    assert option_hint("--retries", having) == ""
