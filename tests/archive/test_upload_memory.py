"""How much memory it takes to upload a segment, and how large one may be."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.bulk.archiving.bucket import Bucket
from tests.command import here
from tests.services.http_proxy import HttpProxy
from tests.services.s3 import new_bucket
from tests.services.server import Server

MB = 1 << 20
_UPLOADS = """
import resource, sys
from pathlib import Path
from batchops.archive.destination import open_destination

destination = open_destination(sys.argv[1])
destination.create("first", b"1")  # the client has its threads now
data = Path("/proc/self/status").read_text().split("VmData:")[1].split()[0]
most = int(data) * 1024 + (24 << 20)
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
destination.publish(Path(sys.argv[2]), "segment")
"""


def test_a_segment_is_uploaded_without_being_read_into_memory(
    service: Callable[[str], Server], tmp_path: Path
) -> None:  # fmt: skip
    segment = tmp_path / "segment"
    segment.write_bytes(os.urandom(48 * MB))
    store = service("s3")
    with HttpProxy(store.url) as proxy:
        bucket = Bucket(new_bucket(store), proxy)
        words = [sys.executable, "-c", _UPLOADS, bucket.url, segment]
        done = subprocess.run(words, env=os.environ | bucket.env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert bucket.names() == ["first", "segment"]
    assert not segment.exists()


def test_a_segment_that_no_request_can_upload_is_refused() -> None:
    words = ("archive", "t", "--url", "sqlite://", "--all-rows", "--to", "s3://b/p", "-y")
    done = here(*words, "--segment-size", "5GiB")
    assert (done.code, "one request; give at most 4GiB" in done.err) == (2, True), done
