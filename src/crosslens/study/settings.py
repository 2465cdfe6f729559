"""A study's settings: checked by the JSON schema, completed with its defaults; what is wrong is told with file and key."""

import copy
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import jsonschema
import yaml

from crosslens.errors import InputError, raise_all
from crosslens.paths import DEEPEST, LONGEST, is_path
from crosslens.registry import member, names
from crosslens.sae.settings import ARCHITECTURES, Settings
from crosslens.study.controls import changed
from crosslens.study.words import shown, told

SOURCES = "crosslens.study.sources"
TRAINING = {field.name: field.default for field in fields(Settings) if field.name != "transcoder"}
"""Settings of `sae` that say how one SAE is trained, and their defaults. A transcoder is one by what it is trained on."""


_TEXTS = re.compile(r"prompts\.|source\.prompts\.|tokens\.texts\.")
"""Settings that are read to a model, and may be as long as they like."""


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # seven times as fast, where libyaml is there
    """Safe YAML whose keys are text, each once in its section: YAML's own reader keeps the last of two without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[str, Any]:
        seen = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str):
                problem = f"the key {getattr(key, 'value', name)!r}, which is no text without quotes"
            elif name in seen:
                problem = f"the key {name} twice in one section"
            else:
                seen.add(name)
                continue
            raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return super().construct_mapping(node, deep)


class StudySettings(dict[str, Any]):
    """The settings of the study in the file `path`, complete."""

    def __init__(self, path: Path, schema: Path, control: str | None = None):
        """Read and check them, those of its control where one is named; raises InputError."""
        self.path = path
        document = load_yaml(path)
        if control and isinstance(document, dict):
            document = changed(document, control)
        self._given = copy.deepcopy(document)
        known = study_schema(schema, document)
        validate(document, path, known)
        self.says = {key: inner["description"] for key, inner in known["properties"].items()}
        """What each section asks for, in words."""
        super().__init__(document)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The languages that are compared, two by two: as named, or each with the first; none where there is one alone."""
        first, *others = self["languages"]
        return [(one, other) for one, other in self["pairs"] or ((first, other) for other in others)]

    def given_in(self, section: str, *names: str, but: tuple[str, ...] = ()) -> list[str]:
        """Which of its keys (`names`, or all `but` some) a section of the study's file has, whatever they say."""
        written = self._given.get(section) or {}
        return [name for name in written if name not in but and (not names or name in names)]

    def gives(self, key: str) -> bool:
        """Whether the study's file has a key of its own, whatever it says."""
        return key in self._given

    def fault(self, key: str, found: object, expected: object, mend: str) -> InputError:
        """What is wrong with one key of the study's file."""
        return InputError(f"{self.path}, key {key}", found=found, expected=expected, mend=mend)

    def fail(self, key: str, found: object, expected: object, mend: str) -> NoReturn:
        """Raise it."""
        raise self.fault(key, found, expected, mend)


def load_yaml(path: Path) -> Any:
    """The YAML document at `path`; InputError where it is none, or a section has a key twice."""
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else path
        reason = getattr(error, "problem", None) or " ".join(str(error).split())
        raise InputError(
            where,
            found=reason.removeprefix("found "),
            expected="a YAML document in UTF-8, whose keys are text, each once",
            mend="correct the file",
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
    """Fill the defaults of a JSON schema into `document` and check it; errors, all of them told, call it `path`."""
    errors = sorted(
        Validator(schema).iter_errors(document), key=lambda error: [*map(str, error.absolute_path)]
    )
    raise_all(told(path, error) for error in errors)
    raise_all(
        InputError(f"{path}, key {key}", found=shown(value), expected=expected, mend="change the value")
        for key, value in _values(document)
        if (expected := _unusable(key, value))
    )


def _unusable(key: str, value: Any) -> str | None:
    """What is expected in place of a value that passes every schema and that nothing can be done with."""
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    if isinstance(value, str) and not _TEXTS.match(key) and not is_path(value):
        return f"names of at most {LONGEST} bytes, and {DEEPEST:,} in all, which is what file systems take"
    return None


def _values(document: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a document that holds no others, with its key."""
    if not isinstance(document, dict | list):
        yield key, document
    inner = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for name, value in inner:
        yield from _values(value, f"{key}.{name}".lstrip("."))


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

    # 16.0 is no integer here: what counts things would break on it, in a job.
    types = base.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    return jsonschema.validators.extend(base, {"properties": fill}, type_checker=types)


Validator = _with_defaults(jsonschema.Draft202012Validator)
