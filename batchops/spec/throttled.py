"""The spec of a verb that keeps to throttles."""

import os
from datetime import timedelta
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from batchops.budget.address import checked as budget_checked
from batchops.db.url_parse import split
from batchops.db.url_references import is_reference
from batchops.db.urls import DatabaseAddress, address
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


def _without_passwords(urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        try:
            secrets = () if is_reference(url) else split(url).secrets
        except UsageError as error:
            raise ValueError(error.message) from None
        if secrets:
            raise ValueError("a password in the URL would be shown; env:NAME, file:PATH or ~/.my.cnf keep it")
    return urls


class ThrottledSpec(VerbSpec):
    """What the verbs share that wait for signals between batches."""

    default_throttles: ClassVar[bool] = False
    """Whether some are watched without a flag."""
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
    replica: Annotated[Several, AfterValidator(_without_passwords), Flag("URL", several=True)] = Field(
        (), description="Replica for replica-lag on MariaDB and MySQL. env:NAME and file:PATH fetch it. Repeatable."
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
        """All that it keeps to; of the defaults those that concern it."""
        own = {"file": self.throttle_file, "query": self.throttle_query, "http": self.throttle_http}
        return tuple(one for one in settings(self.throttle, own) if one.asked or self._by_default(one.kind))

    def _by_default(self, kind: ThrottleKind) -> bool:
        """A queue that waited for a replica unasked would keep its users waiting."""
        return self.default_throttles or (kind.of_replicas and bool(self.replica))

    @property
    def replica_addresses(self) -> tuple[DatabaseAddress, ...]:
        """Where the replicas are; UsageError where a URL is none."""
        try:
            return tuple(address(url, os.environ) for url in self.replica)
        except UsageError as error:
            raise UsageError(error.message.replace("--url", "--replica"), error.hint) from None
