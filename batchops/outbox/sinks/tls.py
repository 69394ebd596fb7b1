"""TLS to a sink: always verified, against the system's authorities or a file that the URL names."""

import ssl

from batchops.errors import UsageError
from batchops.outbox.sinks.address import SinkAddress

OPTIONS = ("ca", "cert", "key")


def context(at: SinkAddress) -> ssl.SSLContext:
    """Return the context for the URL's `ca`, `cert` and `key`; raise UsageError for a file that cannot be used."""
    made = ssl.create_default_context()
    if ca := at.options.get("ca"):
        try:
            made = ssl.create_default_context(cafile=ca)
        except OSError as error:
            raise UsageError(f'The ca file "{ca}" cannot be used: {error.strerror or "no certificates"}.') from error
    if cert := at.options.get("cert"):
        try:
            made.load_cert_chain(cert, at.options.get("key"), password="")
        except OSError as error:
            why = error.strerror or "no certificate and key"
            raise UsageError(f'The cert file "{cert}" cannot be used: {why}.') from error
    return made
