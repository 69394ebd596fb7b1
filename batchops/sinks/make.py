"""From the address that --to names to the sink; its module, and so its client, is imported only then."""

from collections.abc import Mapping
from importlib import import_module

from batchops.errors import UsageError
from batchops.sinks import Sink

SCHEMES = {
    "-": "batchops.sinks.file",
    "file": "batchops.sinks.file",
}
"""By what stands before the colon; each module has `sink(url, environ)`."""
SPELLINGS = ("file:PATH", "-")
"""For the hint."""


def sink_of(url: str, environ: Mapping[str, str]) -> Sink:
    """The sink, not opened yet; UsageError where the address is none, or its client is not installed."""
    scheme = "-" if url == "-" else url.partition(":")[0].lower() if ":" in url else ""
    module = SCHEMES.get(scheme)
    if module is None:
        raise UsageError("--to: this is no destination that batchops knows.", f"there are {', '.join(SPELLINGS)}.")
    found: Sink = import_module(module).sink(url, environ)
    return found
