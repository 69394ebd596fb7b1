"""The JSON schema of recipes, for editors, made from the same fields as the flags."""

from typing import Any

from pydantic import BaseModel, TypeAdapter

from batchops.recipes import params
from batchops.recipes.keys import key
from batchops.spec import schedule
from batchops.spec.models import flag_of, flagged
from batchops.spec.schedule import RecipeSchedule
from batchops.verbs import RECIPE_VERBS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DURATION = r"^\s*(([0-9]+(\.[0-9]+)?|\.[0-9]+)\s*(w|d|h|min|m|s|ms)\s*)+$"
_WINDOW = r"^\s*\d\d:\d\d(:\d\d)?\s*-\s*\d\d:\d\d(:\d\d)?\s*$"
_NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_PARAM = {
    "type": "object",
    "properties": {"param": {"type": "string"}},
    "required": ["param"],
    "additionalProperties": False,
}


def schema() -> dict[str, Any]:
    """Return the schema of a recipe: [params], [defaults] and [job.NAME]."""
    every: dict[str, Any] = {}
    for verb in RECIPE_VERBS.values():
        every |= _fields(verb.spec)
    defaults = _object(every | _due(), [], "These values apply to each job whose verb has the key.")
    jobs = [_job(name) for name in RECIPE_VERBS]
    return {
        "$schema": DIALECT,
        "title": "A recipe of batchops",
        "type": "object",
        "properties": {
            "params": {"type": "object", "additionalProperties": _param()},
            "defaults": defaults,
            "job": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": r"^[A-Za-z0-9_][\w.-]*$"},
                "additionalProperties": {"oneOf": jobs},
            },
        },
        "required": ["job"],
        "additionalProperties": False,
    }


def _job(name: str) -> dict[str, Any]:
    verb = RECIPE_VERBS[name]
    own: dict[str, Any] = {
        "verb": {"const": name},
        "needs": {**_NAMES, "description": "Jobs that must be done before this one begins."},
        "description": {"type": "string"},
    }
    # No other key is required here, as it may be in [defaults].
    return _object(own | _fields(verb.spec) | _due(), ["verb"], verb.spec.__doc__ or "")


def _object(fields: dict[str, Any], required: list[str], text: str) -> dict[str, Any]:
    """Return the schema of a table with these keys, spelled with dashes as flags are.

    The spelling with underscores is the same key; it is marked as deprecated, so that editors do not offer it.
    """
    spelled = {key(name): value for name, value in fields.items()}
    other = {name: {**value, "deprecated": True} for name, value in fields.items() if "_" in name}
    return {
        "type": "object",
        "description": text,
        "properties": spelled | other,
        "required": required,
        "additionalProperties": False,
    }


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    return {name: _field(model, name) for name in flagged(model)}


def _due() -> dict[str, Any]:
    return {name: _field(RecipeSchedule, name) for name in RecipeSchedule.model_fields if name in schedule.KEYS}


def _field(model: type[BaseModel], name: str) -> dict[str, Any]:
    info = model.model_fields[name]
    value = _plain(info.rebuild_annotation())
    choices = [value] if flag_of(info).kind != "value" else [value, _PARAM]
    return {"description": info.description or "", "anyOf": choices}


def _plain(annotation: Any) -> dict[str, Any]:
    """Return pydantic's schema of a type, without null, which TOML lacks, and with the recipe's own text formats."""
    found = TypeAdapter(annotation).json_schema(mode="validation")
    choices = [each for each in found.get("anyOf", [found]) if each.get("type") != "null"]
    spelled = [_spelled(each) for each in choices]
    return spelled[0] if len(spelled) == 1 else {"anyOf": spelled}


def _spelled(found: dict[str, Any]) -> dict[str, Any]:
    if found.get("format") == "duration":
        return {"type": "string", "pattern": _DURATION}
    if "$ref" in found:  # only the window is such a type
        return {"type": "string", "pattern": _WINDOW}
    if found.get("type") == "array":
        return {"anyOf": [{"type": "string"}, found]}
    return {name: value for name, value in found.items() if name != "format"}


def _param() -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "type": {"enum": list(params.TYPES)},
            "default": {"description": "Its value where --param gives none; without one it must be given."},
            "description": {"type": "string"},
        },
        "required": ["type"],
        "additionalProperties": False,
    }
