"""A study's settings: checked by the JSON schema, completed with its defaults; what is wrong is told with file and key."""

import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import yaml

from crosslens.errors import InputError
from crosslens.registry import member, names
from crosslens.sae.settings import ARCHITECTURES, Settings

SOURCES = "crosslens.study.sources"
TRAINING = {field.name: field.default for field in fields(Settings) if field.name != "transcoder"}
"""Settings of `sae` that say how one SAE is trained, and their defaults. A transcoder is one by what it is trained on."""
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # seven times as fast, where libyaml is there


class StudySettings(dict[str, Any]):
    """The settings of the study in the file `path`, complete."""

    def __init__(self, path: Path, schema: Path):
        """Read and check them; raises InputError."""
        self.path = path
        document = load_yaml(path)
        validate(document, path, study_schema(schema, document))
        super().__init__(document)

    def fail(self, key: str, found: object, expected: object, mend: str) -> NoReturn:
        """Raise InputError for one key of the study's file."""
        raise InputError(f"{self.path}, key {key}", found=found, expected=expected, mend=mend)


def load_yaml(path: Path) -> Any:
    """The YAML document at `path`."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            path, found=f"no YAML ({reason})", expected="a YAML document in UTF-8", mend="correct the file"
        ) from error


def source_names(document: Any) -> list[str]:
    """The sources that a study's document names: one, if it is right."""
    given = document.get("source") if isinstance(document, Mapping) else None
    return [name for name in names(SOURCES) if isinstance(given, Mapping) and name in given]


def study_schema(path: Path, document: Any = None) -> dict[str, Any]:
    """The JSON schema at `path`, and in it what is said elsewhere: keys of the sources, architectures, defaults of training.

    Of the sources all, or that one alone which `document` names.
    """
    schema, named = load_yaml(path), source_names(document)
    members = named if len(named) == 1 else names(SOURCES)
    sections = schema["properties"]
    for name in members:
        sections["source"]["properties"] |= member(SOURCES, name).SETTINGS
    sections["source"]["oneOf"] = [{"required": [name]} for name in members]
    for name, inner in sections["sae"]["properties"].items():
        if name in TRAINING:
            inner["default"] = json.loads(json.dumps(TRAINING[name]))
    swept = sections["sweep"]["properties"]["architecture"]["items"]
    sections["sae"]["properties"]["architecture"]["enum"] = swept["enum"] = list(ARCHITECTURES)
    return schema


def validate(document: Any, path: Path, schema: dict[str, Any]) -> None:
    """Fill the defaults of a JSON schema into `document` and check it; errors call it `path`."""
    error = jsonschema.exceptions.best_match(Validator(schema).iter_errors(document))
    if error is not None:
        raise _explain(path, error)


def _with_defaults(base: type) -> type:
    """A jsonschema validator class that fills in `default` before it validates."""
    validate_properties = base.VALIDATORS["properties"]

    def fill(validator, properties, instance, schema):
        if isinstance(instance, dict):
            for name, subschema in properties.items():
                if "default" in subschema:
                    # A copy: a default that is an object is filled in place for this study alone.
                    instance.setdefault(name, json.loads(json.dumps(subschema["default"])))
        yield from validate_properties(validator, properties, instance, schema)

    return jsonschema.validators.extend(base, {"properties": fill})


Validator = _with_defaults(jsonschema.Draft202012Validator)


def _explain(path: Path, error: jsonschema.ValidationError) -> InputError:
    place = ".".join(str(part) for part in error.absolute_path)
    where = f"{path}, key {place}" if place else str(path)
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = sorted(set(error.instance) - set(known))
        return InputError(
            where,
            found=f"unknown key {', '.join(unknown)}",
            expected=f"one of {', '.join(known)}",
            mend="correct its spelling or remove it; config/README.md documents every key",
        )
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return InputError(
            where,
            found=f"no key {', '.join(missing)}",
            expected="it to be there",
            mend="add it; see config/README.md",
        )
    if error.validator == "oneOf" and all("required" in option for option in error.validator_value):
        options = [name for option in error.validator_value for name in option["required"]]
        named = [name for name in options if name in error.instance]
        return InputError(
            where,
            found=" and ".join(named) or "neither",
            expected=f"exactly one of {' or '.join(options)}",
            mend="name one",
        )
    hint = "change the value; config/README.md documents every key"
    if (
        error.validator == "type"
        and isinstance(error.instance, str)
        and "number" in str(error.validator_value)
    ):
        hint = "write it as a number with a point (1.0e-3): YAML reads 1e-3 as text"
    if error.validator in ("type", "pattern") and isinstance(error.instance, bool | int | float):
        hint = 'quote it: languages and sites are strings ("no", "14")'
    expected = f"{error.validator} {error.validator_value}"
    return InputError(where, found=repr(error.instance), expected=expected, mend=hint)
