"""What the schema cannot say of the section `describe`. What might hold a key is never shown."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from crosslens.errors import InputError
from crosslens.study.settings import StudySettings

VARIABLE = re.compile("[A-Z_][A-Z0-9_]*")
"""In capitals, as such names are and keys are not."""
TEXTS = {"caption", "generated"}


def description_faults(settings: StudySettings) -> Iterator[InputError]:
    """Labels that no text could be behind, and an endpoint that is none."""
    chosen = settings["describe"]
    if chosen is None:
        return
    if not TEXTS & {*settings["sae"]["roles"]}:
        yield settings.fault(
            "describe",
            f"labels of texts, and SAEs on {settings['sae']['roles']}",
            "the role caption or generated among sae.roles",
            "add it there, or leave `describe` out",
        )
    endpoint = chosen["endpoint"]
    if chosen["method"] == "endpoint" and endpoint is None:
        yield settings.fault(
            "describe.endpoint", "null", "a server to ask", "give its url and model, or `method: ngrams`"
        )
    if endpoint is None:
        return
    if chosen["method"] != "endpoint":
        yield settings.fault(
            "describe.endpoint",
            f"a server, and method: {chosen['method']}, which asks nobody",
            "method: endpoint beside it",
            "set describe.method, or take the server out",
        )
    if not _is_plain(endpoint["url"]):
        yield settings.fault(
            "describe.endpoint.url",
            "an address that is none, or that holds more than one (it is not shown: it may hold a key)",
            "http://… or https://… up to /v1, without a user, a question mark or /chat/completions",
            "correct it; a key belongs into an environment variable, which describe.endpoint.key names",
        )
    if endpoint["key"] is not None and not VARIABLE.fullmatch(endpoint["key"]):
        yield settings.fault(
            "describe.endpoint.key",
            "what is no name of an environment variable (it is not shown: it may be a key)",
            "a name in capitals such as OPENAI_API_KEY",
            "export the key under a name, and give the name; a key that stood in a file should be replaced",
        )


def _is_plain(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises where it is none
    except ValueError:
        return False
    plain = parts.hostname and not ({"@", "?", "#"} & {*url}) and not re.search(r"\s", url)
    return bool(
        parts.scheme in ("http", "https") and plain and not parts.path.rstrip("/").endswith("/completions")
    )
