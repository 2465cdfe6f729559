"""What a JSON schema finds wrong, in words a reader knows."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import jsonschema

from crosslens.errors import InputError

DOCUMENTED = "config/README.md documents every key"
TYPES = {
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a section of keys",
    "null": "null",
}
"""Of JSON Schema, and what they are called."""


def nearest(name: object, known: Iterable[str]) -> str:
    """` (did you mean x?)` where something known is spelt much like it; else nothing."""
    found = get_close_matches(str(name), [*known], n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def told(path: Path, error: jsonschema.ValidationError) -> InputError:
    """The error of a schema as one of the user's: file, key, what was found, what was expected."""
    place = ".".join(str(part) for part in error.absolute_path)
    found, expected, mend = WORDS.get(str(error.validator), _value)(error)
    where = f"{path}, key {place}" if place else str(path)
    return InputError(where, found=found, expected=expected, mend=mend)


Words = tuple[str, str, str]
"""What was found, what was expected, and how to mend it."""


def _value(error: jsonschema.ValidationError) -> Words:
    """A value that is none of those allowed."""
    value, mend = error.instance, f"change the value; {DOCUMENTED}"
    kinds = [error.validator_value] if isinstance(error.validator_value, str) else error.validator_value
    if error.validator == "type" and isinstance(value, str) and {"number", "integer"} & {*kinds}:
        mend = "write it as a number, without quotes and with a point (1.0e-3): YAML reads 1e-3 as text"
    if error.validator in ("type", "pattern") and isinstance(value, bool | int | float) and "string" in kinds:
        mend = 'quote it: languages and sites are strings ("no", "14")'
    return shown(value), _expected(error), mend


def _expected(error: jsonschema.ValidationError) -> str:
    bound, schema = error.validator_value, error.schema
    if error.validator == "type":
        return " or ".join(TYPES[name] for name in ([bound] if isinstance(bound, str) else bound))
    if error.validator == "enum":
        return f"one of {', '.join(map(shown, bound))}{nearest(error.instance, map(str, bound))}"
    return {
        "minimum": f"a number of at least {bound}",
        "exclusiveMinimum": f"a number greater than {bound}",
        "maximum": f"a number of at most {bound}",
        "exclusiveMaximum": f"a number less than {bound}",
        "minItems": f"a list of at least {bound}",
        "maxItems": f"a list of at most {bound}",
        "minLength": "some text",
        "minProperties": "at least one key",
        "uniqueItems": "each entry once",
        "pattern": schema.get("title", f"text like {bound}"),
    }[str(error.validator)]


def _unknown(error: jsonschema.ValidationError) -> Words:
    known = sorted(error.schema.get("properties", {}))
    unknown = sorted(set(error.instance) - set(known))
    return (
        f"unknown key {', '.join(name + nearest(name, known) for name in unknown)}",
        f"one of {', '.join(known)}",
        f"correct its spelling or remove it; {DOCUMENTED}",
    )


def _missing(error: jsonschema.ValidationError) -> Words:
    missing = [name for name in error.validator_value if name not in error.instance]
    return f"no key {', '.join(missing)}", "it to be there", "add it; see config/README.md"


def _one_of(error: jsonschema.ValidationError) -> Words:
    options = [name for option in error.validator_value for name in option["required"]]
    named = [name for name in options if isinstance(error.instance, dict) and name in error.instance]
    return " and ".join(named) or "neither", f"exactly one of {' or '.join(options)}", "name one"


WORDS: dict[str, Callable[[jsonschema.ValidationError], Words]] = {
    "additionalProperties": _unknown,
    "required": _missing,
    "oneOf": _one_of,
}
"""Of the keywords that say more than what a value may be."""


def shown(value: Any) -> str:
    """A value as a message has it, on one line: null and true as in YAML, long ones cut."""
    text = (
        {None: "null", True: "true", False: "false"}[value]
        if value is None or value is True or value is False
        else repr(value)
    )
    return text if len(text) <= 80 else f"{text[:77]}…"
