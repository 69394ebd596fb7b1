"""LiveSpec: the options that `batchops set` changes while a run works."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from batchops.errors import UsageError
from batchops.spec.models import Duration, Flag, Several, VerbSpec, checked, flag_name
from batchops.spec.throttle_settings import live_limits


def _known(texts: tuple[str, ...]) -> tuple[str, ...]:
    live_limits(texts)
    return texts


class LiveSpec(BaseModel):
    """The options to change; None: the option stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sleep: Annotated[Duration | None, Flag("100ms")] = Field(
        None, ge=timedelta(0), description="Pause after each batch."
    )
    batch_size: Annotated[int | None, Flag("N")] = Field(
        None, ge=1, le=1_000_000, description="Fixed number of rows for each batch."
    )
    target_time: Annotated[Duration | None, Flag("50ms")] = Field(
        None, gt=timedelta(0), description="Time that a batch aims to take. The batch size adapts to it again."
    )
    max_rows: Annotated[int | None, Flag("N")] = Field(
        None, ge=1, description="End after N rows changed by the process that works now."
    )
    workers: Annotated[int | None, Flag("N")] = Field(None, ge=1, le=64, description="Worker threads.")
    throttle: Annotated[Several, AfterValidator(_known), Flag("NAME=LIMIT", several=True)] = Field(
        (), description="Wait while a signal is above LIMIT, or no longer: NAME=off. Repeatable."
    )


def live_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as the ledger keeps them, durations in seconds; raise UsageError for a wrong one, or none."""
    spec = checked(LiveSpec, values)
    found = {name: _kept(value) for name, value in spec if value not in (None, ())}
    if not found:
        options = ", ".join(flag_name(name) for name in LiveSpec.model_fields)
        raise UsageError("Nothing is to be changed.", f"give one of {options}.")
    if "target_time" in found:
        found.setdefault("batch_size", None)  # the batch size adapts again
    return found


def changeable(spec: type[VerbSpec]) -> frozenset[str]:
    """Return the options of a verb that can be changed while it works."""
    return frozenset(LiveSpec.model_fields) & frozenset(spec.model_fields)


def _kept(value: object) -> object:
    match value:
        case timedelta():
            return value.total_seconds()
        case tuple():
            return live_limits(value)
    return value
