"""ThrottledSpec: the spec of a verb that waits for throttles."""

import os
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from batchops import durations
from batchops.budget.address import checked as budget_checked
from batchops.db.signals import Replica
from batchops.db.url_parse import split
from batchops.db.url_references import is_reference
from batchops.db.urls import address
from batchops.errors import UsageError
from batchops.spec import parsers
from batchops.spec.models import Duration, Flag, Several, VerbSpec
from batchops.spec.throttle_settings import settings
from batchops.throttles.http import checked_url
from batchops.throttles.kind import ThrottleKind, ThrottleSetting


def _known(texts: tuple[str, ...]) -> tuple[str, ...]:
    settings(texts, {})
    return texts


def _filled(text: str | None) -> str | None:
    if text is not None and not text.strip():
        raise ValueError("it is empty")
    return text


def _replica(text: str) -> tuple[str, float | None]:
    """Split `URL,limit=4h` into what names the replica and its limit in seconds; ValueError for a wrong limit."""
    named, mark, limit = text.rpartition(",limit=")
    if not mark:
        return text, None
    found = durations.parse(limit)
    assert isinstance(found, timedelta)
    return named, found.total_seconds()


def _named_by_server(text: str) -> bool:
    """Whether the text is the server's own name of a replica and not a URL."""
    return "://" not in text and not is_reference(text)


def _named_rightly(replicas: tuple[str, ...]) -> tuple[str, ...]:
    for url, limit in map(_replica, replicas):
        if _named_by_server(url) and limit is None:
            raise ValueError(f'"{url}" is neither a URL nor like {url},limit=4h')
        try:
            secrets = () if _named_by_server(url) or is_reference(url) else split(url).secrets
        except UsageError as error:
            raise ValueError(error.message) from None
        if secrets:
            raise ValueError("a password in the URL would be shown; env:NAME, file:PATH or ~/.my.cnf keep it")
    return replicas


class ThrottledSpec(VerbSpec):
    """The fields of verbs that wait for throttles between batches."""

    default_throttles: ClassVar[bool] = False
    """Whether the default throttles are on without a flag."""
    throttle: Annotated[Several, AfterValidator(_known), Flag("NAME=LIMIT", several=True)] = Field(
        (), description="Wait while a signal is above LIMIT. NAME=LIMIT,stop=LIMIT ends the run. Repeatable."
    )
    throttle_file: Annotated[str | None, BeforeValidator(parsers.path), AfterValidator(_filled), Flag("PATH")] = Field(
        None, description="Wait while this file exists."
    )
    throttle_query: Annotated[str | None, AfterValidator(_filled), Flag("SQL", kind="program")] = Field(
        None, description="Wait while this SELECT gives a number above 0, true or a text: the reason."
    )
    throttle_http: Annotated[str | None, AfterValidator(checked_url), Flag("URL")] = Field(
        None, description="Wait while this URL answers 423, 429 or 503. env:NAME and file:PATH fetch it."
    )
    replica: Annotated[Several, AfterValidator(_named_rightly), Flag("URL[,limit=4h]", several=True)] = Field(
        (),
        description="Replica for replica-lag on MariaDB and MySQL; with a limit of its own on PostgreSQL too, by its "
        "name. env:NAME and file:PATH fetch a URL. Repeatable.",
    )
    budget: Annotated[str | None, AfterValidator(budget_checked), Flag("URL#NAME")] = Field(
        None, description="Share the rate and the workers of this budget with other runs: batchops budget."
    )
    throttle_timeout: Annotated[Duration, Flag("30min")] = Field(
        timedelta(minutes=30),
        ge=timedelta(0),
        description="End after throttles have made the run wait this long without a batch.",
        validate_default=True,
    )

    @property
    def throttles(self) -> tuple[ThrottleSetting, ...]:
        """The throttles of the run: those that flags name, and the defaults that apply to this verb."""
        own = {"file": self.throttle_file, "query": self.throttle_query, "http": self.throttle_http}
        return tuple(one for one in settings(self.throttle, own) if one.asked or self._by_default(one.kind))

    def _by_default(self, kind: ThrottleKind) -> bool:
        """Whether a default applies: to a queue only if replicas are named, as its users would have to wait too."""
        return self.default_throttles or (kind.of_replicas and bool(self.replica))

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """The replicas that --replica names; raises UsageError for a wrong URL."""
        found = []
        for text, limit in map(_replica, self.replica):
            if _named_by_server(text):
                found.append(Replica(text, None, limit))
                continue
            try:
                at = address(text, os.environ)
            except UsageError as error:
                raise UsageError(error.message.replace("--url", "--replica"), error.hint) from None
            found.append(Replica(at.name, at, limit))
        return tuple(found)
