"""A client of any server that speaks OpenAI's `/v1/chat/completions`: llama.cpp, vLLM, Ollama, a vendor's.

The key is read from the environment when a job asks, and is in nothing that this module returns, logs or raises: an answer
that repeats it has KEY in its place.
"""

import json
import logging
import os
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, NamedTuple, NoReturn

import requests

from crosslens.errors import InputError

log = logging.getLogger(__name__)

KEY = "[key]"
LONGEST_WAIT = 600.0
"""Seconds that a server may ask for; one that asks for more is not waited for."""
LONGEST_ANSWER = 1 << 22
"""Bytes."""


class Answer(NamedTuple):
    """What a server said."""

    text: str | None
    """The words of the model; None where what came is no chat completion."""
    model: str | None
    """What the server calls the model that wrote them."""


class Chat:
    """One model behind one address."""

    def __init__(
        self,
        *,
        url: str,
        model: str,
        temperature: float | None = 0.0,
        json_mode: bool = True,
        key: str | None = None,
        timeout: float = 120.0,
        retries: int = 5,
        sleep: Callable[[float], None] = time.sleep,
    ):
        """url: up to `/v1`; key: the name of the environment variable that holds it; timeout: seconds for one whole answer;
        retries: after a first try, where the server is busy, broken or not there. Raises InputError without a usable key.
        """
        self.url = url.rstrip("/")
        self._body: dict[str, Any] = {"model": model}
        if temperature is not None:
            self._body["temperature"] = temperature
        if json_mode:
            self._body["response_format"] = {"type": "json_object"}
        self.timeout, self.retries, self._sleep = timeout, retries, sleep
        self._variable, self._key = key, _key(key) if key else None
        self._session = requests.Session()

    def ask(self, prompt: str) -> Answer:
        """The answer to one message. Raises InputError, in one line, where the server refuses or stays away."""
        body = self._body | {"messages": [{"role": "user", "content": prompt}]}
        why = ""
        for attempt in range(self.retries + 1):
            wait = min(2.0**attempt, 60.0)
            try:
                status, headers, content = self._post(body)
            except requests.RequestException as error:
                why = _kind(error)
            else:
                if status == HTTPStatus.OK:
                    return self._read(content)
                why = f"HTTP {status}"
                if status != HTTPStatus.TOO_MANY_REQUESTS and status < HTTPStatus.INTERNAL_SERVER_ERROR:
                    self._refused(status, content)
                wait = self._asked_for(headers.get("Retry-After"), why, wait)
            if attempt < self.retries:
                log.info("%s: %s, waits %.0f s", self.url, why, wait)
                self._sleep(wait)
        self._fail(
            f"{why}, {self.retries + 1} times",
            "an answer",
            "start the server, or give it more time (timeout, retries); what was answered so far is kept for the next run",
        )

    def _post(self, body: dict[str, Any]) -> tuple[int, Any, bytes]:
        """Status, headers and content, all within the time-out: a server that sends byte after byte is none."""
        end = time.monotonic() + self.timeout
        response = self._session.post(
            f"{self.url}/chat/completions",
            json=body,
            timeout=self.timeout,
            auth=self._sign,
            allow_redirects=False,  # they could lead the key elsewhere
            stream=True,
        )
        content = bytearray()
        with response:
            for piece in response.iter_content(1):  # of more it would wait for more
                content += piece
                if time.monotonic() > end:
                    raise requests.Timeout
                if len(content) > LONGEST_ANSWER:
                    return response.status_code, response.headers, b""
        return response.status_code, response.headers, bytes(content)

    def _sign(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """As an `auth` of requests, without which it takes names and passwords from the user's .netrc."""
        if self._key:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request

    def _read(self, content: bytes) -> Answer:
        document = _json(content)
        try:
            text = document["choices"][0]["message"]["content"]
        except (KeyError, IndexError, TypeError):
            text = None
        model = document.get("model") if isinstance(document, dict) else None
        return Answer(
            self._shown(text) if isinstance(text, str) and text.strip() else None,
            _name(self._shown(model)) if isinstance(model, str) else None,
        )

    def _refused(self, status: int, content: bytes) -> NoReturn:
        """What no second try mends."""
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            whose = f"the key in {self._variable}" if self._variable else "no key"
            expected = "a key that it takes"
            self._fail(
                f"HTTP {status} with {whose}",
                expected,
                "name the variable that holds it, describe.endpoint.key",
            )
        try:
            said = f", {self._shown(' '.join(str(_json(content)['error']['message']).split()))[:200]}"
        except (KeyError, TypeError):
            said = ""
        self._fail(
            f"HTTP {status}{said}",
            "a chat completion",
            "correct describe.endpoint: url is the address up to /v1, model a name that the server knows, "
            "temperature null and json false where it takes none",
        )

    def _asked_for(self, header: str | None, why: str, otherwise: float) -> float:
        """Seconds that a Retry-After asks for: a number, or a date."""
        if header is None:
            return otherwise
        try:
            seconds = float(header)
        except ValueError:
            try:
                seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
            except (ValueError, TypeError):
                return otherwise
        if not seconds <= LONGEST_WAIT:
            self._fail(
                f"{why}, and to be asked again in {seconds:.0f} s",
                f"at most {LONGEST_WAIT:.0f} s",
                "run snakemake again later: what was answered so far is kept",
            )
        return max(seconds, 0.0)

    def _shown(self, text: str) -> str:
        return text.replace(self._key, KEY) if self._key else text

    def _fail(self, found: str, expected: str, mend: str) -> NoReturn:
        raise InputError(
            f"describe.endpoint, {self.url}", found=found, expected=expected, mend=mend
        ) from None


def _key(variable: str) -> str:
    """What the variable holds. No message says it, nor what is wrong with which of its characters."""
    value = os.environ.get(variable, "").strip()
    if not value:
        raise InputError(
            "describe.endpoint.key",
            found=f"no environment variable {variable}",
            expected="it to hold the key where the job runs",
            mend=f"export {variable}=…, or `key: null` for a server that wants none",
        )
    if not (value.isascii() and value.isprintable() and " " not in value):
        raise InputError(
            "describe.endpoint.key",
            found=f"characters in {variable} that no key has (spaces, line ends or letters beyond ASCII)",
            expected="a key",
            mend=f"set {variable} anew",
        )
    return value


def _name(model: str) -> str:
    """Servers of one file call the model by its path: where that lies is nobody's business."""
    return re.split(r"[\\/]", model)[-1] if re.match(r"[~/\\]|[A-Za-z]:", model) else model


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _kind(error: requests.RequestException) -> str:
    """An error in words that hold nothing of what was sent."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    return f"no connection ({type(error).__name__})"
