"""The argument and the flag that the commands on archives share."""

import rich_click as click

DEST = click.argument("dest", metavar="DEST")
JSON = click.option("--json", "as_json_document", is_flag=True, help="Print one JSON document on stdout.")
