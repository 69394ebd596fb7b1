"""How S3 is reached, by the variables and files that the tools of AWS read."""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_REGION = "us-east-1"
"""Where no region is named: other servers take any."""
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_BY_OTHER_MEANS = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                   "AWS_CONTAINER_CREDENTIALS_FULL_URI")  # fmt: skip
"""Of these the library itself makes credentials, as of a machine's own role."""


@dataclass(frozen=True)
class S3Settings:
    """Options of the client."""

    endpoint: str
    """Without credentials; empty for AWS itself."""
    options: Mapping[str, str]

    def redacted(self, text: str) -> str:
        """The text without what is secret in the options."""
        for name in _KEYS:
            if secret := self.options.get(name):
                text = text.replace(secret, "***")
        return text


def settings_of(environ: Mapping[str, str]) -> S3Settings:
    """AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL, AWS_REGION, and credentials: of the environment, else of a profile."""
    known = (*_KEYS, "aws_region", "aws_default_region")
    own = {name: value for name in known if (value := environ.get(name.upper()))}
    profile = _profile(environ)
    if "aws_access_key_id" not in own and not any(environ.get(name) for name in _BY_OTHER_MEANS):
        own |= {name: profile[name] for name in _KEYS if name in profile}
    region = own.pop("aws_default_region", None)
    own["aws_region"] = own.get("aws_region") or region or profile.get("region") or _REGION
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or profile.get("endpoint_url", "")
    if endpoint:
        own["aws_endpoint"] = endpoint.rstrip("/")
    return S3Settings(endpoint, own)


def _profile(environ: Mapping[str, str]) -> dict[str, str]:
    """What the files of AWS's tools have for the profile: AWS_PROFILE, else the default one."""
    name, home = environ.get("AWS_PROFILE") or "default", Path(environ.get("HOME") or "~").expanduser()
    files = {
        environ.get("AWS_CONFIG_FILE") or home / ".aws/config": name if name == "default" else f"profile {name}",
        environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / ".aws/credentials": name,
    }
    found: dict[str, str] = {}
    for file, section in files.items():
        parser = configparser.ConfigParser(interpolation=None)
        try:
            parser.read(file)
        except (configparser.Error, OSError, UnicodeDecodeError):
            continue
        if parser.has_section(section):
            found |= dict(parser.items(section))
    return found
