"""The tables of config/README.md, written from the schemas: `python -m crosslens.study.document` brings them up to date."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from crosslens.study.settings import load_yaml, study_schema

README, SCHEMAS = Path("config/README.md"), Path("workflow/schemas")
HEAD = "| key | type | default | meaning |\n|---|---|---|---|\n"
TABLE = re.compile(r"(<!-- written from workflow/schemas/(\w+)\.schema\.yaml.*-->\n)(?:\|.*\n)*")
"""The place of a table, and the schema that it is of."""
SIGNS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def documented(text: str, schemas: Path) -> str:
    """`text` with the table of each schema that it names in a comment; the rest is as it was."""
    return TABLE.sub(lambda place: place[1] + table(read_schema(schemas, place[2])), text)


def read_schema(schemas: Path, name: str) -> dict[str, Any]:
    """The whole schema of `name`: study or config."""
    path = schemas / f"{name}.schema.yaml"
    return study_schema(path) if name == "study" else load_yaml(path)


def table(schema: dict[str, Any]) -> str:
    """A Markdown table with a row a key."""
    return HEAD + "".join(
        f"| `{key}` | {type_of(inner)} | {default_of(inner, required)} | {inner['description']} |\n"
        for key, inner, required in keys(schema)
    )


def keys(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Every key with its schema and whether it must be given; `[]` stands for each entry of a list."""
    for name, inner in schema.get("properties", {}).items():
        yield f"{prefix}{name}", inner, name in schema.get("required", ())
        yield from keys(inner, f"{prefix}{name}.")
        yield from keys(inner.get("items", {}), f"{prefix}{name}[].")


def type_of(schema: dict[str, Any], plural: str = "") -> str:
    """In words, with its bounds; plural "s": of several."""
    if "enum" in schema:
        return f"{'' if plural else 'one of '}{', '.join(_code(value) for value in schema['enum'])}"
    given = schema.get("type", [])
    named = [given] if isinstance(given, str) else given
    bounds = " and ".join(f"{sign} {schema[name]}" for name, sign in SIGNS.items() if name in schema)
    return " or ".join(_named(name, schema, plural) for name in named) + (f", {bounds}" if bounds else "")


def _named(name: str, schema: dict[str, Any], plural: str) -> str:
    if name == "null":
        return "`null`"
    if name == "array":
        return f"list{plural} of {type_of(schema['items'], 's')}"
    if name == "object":
        entries = schema.get("additionalProperties")
        return f"section{plural}" if not entries else f"map{plural} of {type_of(entries, 's')}"
    return name + plural


def default_of(schema: dict[str, Any], required: bool) -> str:
    """In YAML; empty where a key that is left out has no value, and for sections, whose keys have their own."""
    if required:
        return "**required**"
    return _code(schema["default"]) if schema.get("default", {}) != {} else ""


def _code(value: Any) -> str:
    return f"`{yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix('...' + chr(10)).strip()}`"


if __name__ == "__main__":
    README.write_text(documented(README.read_text(encoding="utf-8"), SCHEMAS), encoding="utf-8")
