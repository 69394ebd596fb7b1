"""A streaming standby of a private PostgreSQL server, whose replay a test may pause."""

import signal
from pathlib import Path

from sqlalchemy import make_url

from tests.services.postgres import NAME, version
from tests.services.private import Private, free_port, run, temporary_folder


def standby(primary: Private, name: str) -> Private:
    """A copy of the server as it is now, ready to `start()`; it streams from there under that name."""
    folder, port = temporary_folder(primary.owner), free_port()
    bin, data = Path(primary.argv[0]).parent, folder / "data"
    source = make_url(primary.url).update_query_dict({"application_name": name}).render_as_string(hide_password=False)
    run([bin / "pg_basebackup", "-d", source, "-D", data, "-R", "-X", "stream", "-c", "fast"], folder, primary.owner)
    kept = [word for word in map(str, primary.argv[3:]) if not word.startswith("--port=")]
    url = make_url(primary.url).set(port=port).render_as_string(hide_password=False)
    argv = [primary.argv[0], "-D", data, *kept, f"--port={port}", "--hot_standby=on"]
    return Private(NAME, argv, folder, primary.owner, url, version, signal.SIGQUIT)
