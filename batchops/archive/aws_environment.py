"""Reads how to reach S3 from the variables and files that AWS's own tools use."""

import configparser
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_REGION = "us-east-1"
"""The region if none is named. Servers other than AWS accept any."""
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_OTHER_SOURCES = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                   "AWS_CONTAINER_CREDENTIALS_FULL_URI")  # fmt: skip
"""Variables from which the library itself gets credentials, as it does from a machine's role."""


@dataclass(frozen=True)
class S3Settings:
    """The options of the S3 client."""

    endpoint: str
    """The address of the server, which holds no credentials; "" for AWS itself."""
    options: Mapping[str, str]

    def redacted(self, text: str) -> str:
        """Return the text with the secrets of the options replaced by ***."""
        for name in _KEYS:
            if secret := self.options.get(name):
                text = text.replace(secret, "***")
        return text


def settings_of(environ: Mapping[str, str]) -> S3Settings:
    """Return the endpoint, region and credentials that the environment names, or else the profile."""
    known = (*_KEYS, "aws_region", "aws_default_region")
    own = {name: value for name in known if (value := environ.get(name.upper()))}
    profile = _profile(environ)
    if "aws_access_key_id" not in own and not any(environ.get(name) for name in _OTHER_SOURCES):
        own |= {name: profile[name] for name in _KEYS if name in profile}
    region = own.pop("aws_default_region", None)
    own["aws_region"] = own.get("aws_region") or region or profile.get("region") or _REGION
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or profile.get("endpoint_url", "")
    if endpoint:
        own["aws_endpoint"] = endpoint.rstrip("/")
    return S3Settings(endpoint, own)


def _profile(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of the profile, AWS_PROFILE or the default one, in the files of AWS's tools."""
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
