"""A headless browser that is told what to do through a pipe, by Chrome's own protocol; no package and no port."""

import base64
import fcntl
import json
import os
import re
import select
import shutil
import subprocess
from pathlib import Path
from typing import Any

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe")
PATIENCE = 120
"""Seconds for one answer."""


def shown_in(page: Path, profile: Path) -> str:
    """What the page, opened from its file, has written into its element `told` when it is loaded, entities as they stand."""
    command = [str(BROWSER), *FLAGS[:3], f"--user-data-dir={profile}", "--dump-dom", page.as_uri()]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    found = re.search(r'<pre id="told">(.*?)</pre>', ended.stdout, re.S)
    assert found and found[1], ended.stderr
    return found[1]


class Browser:
    """One tab. `events` holds all that the browser has told unasked, as [method, parameters]."""

    def __init__(self, profile: Path):
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        # the browser reads 3 and writes 4, which pytest may have open
        theirs_in, theirs_out = (fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (theirs_in, theirs_out))
        self._in, self._out, self._last, self._rest = ours_in, ours_out, 0, b""
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._process = subprocess.Popen(
            [str(BROWSER), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=lambda: (os.dup2(theirs_in, 3), os.dup2(theirs_out, 4)),
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._session: str | None = None
        tabs = self.send("Target.getTargets")["targetInfos"]
        tab = next(each["targetId"] for each in tabs if each["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.send(f"{domain}.enable")
        # as if the window were in front
        self.send("Emulation.setFocusEmulationEnabled", enabled=True)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """What the browser answers; AssertionError where it refuses or says nothing."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        message |= {"sessionId": self._session} if self._session else {}
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._last:
                assert "error" not in answer, f"{method}: {answer['error']}"
                return answer["result"]
            if "method" in answer:
                self.events.append((answer["method"], answer["params"]))

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], PATIENCE)
            assert ready, "the browser says nothing"
            found = os.read(self._in, 1 << 20)
            assert found, "the browser has ended"
            self._rest += found
        first, self._rest = self._rest.split(b"\0", 1)
        return json.loads(first)

    def visit(self, address: str) -> None:
        """Load a page, all that its markup names with it."""
        before = len(self.events)
        self.send("Page.navigate", url=address)
        while not any(method == "Page.loadEventFired" for method, _ in self.events[before:]):
            told = self._read()
            self.events.append((told["method"], told["params"]))

    def evaluate(self, expression: str) -> Any:
        """What an expression of JavaScript gives, waited for where it is a promise."""
        answer = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def look(self, width: int, scheme: str, media: str = "") -> None:
        """A window of that width, for a reader who likes `light` or `dark`; media: `print` as on paper."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False
        )
        liked = [{"name": "prefers-color-scheme", "value": scheme}]
        self.send("Emulation.setEmulatedMedia", media=media, features=liked)

    def press(self, key: str) -> None:
        """A key of the keyboard, with what it writes."""
        text = {"Enter": "\r", " ": " "}.get(key, "")
        code = {"Tab": 9, "Enter": 13, "Escape": 27, " ": 32}[key]
        of = {"key": key, "code": "Space" if key == " " else key, "windowsVirtualKeyCode": code}
        self.send("Input.dispatchKeyEvent", type="keyDown", text=text, **of)
        self.send("Input.dispatchKeyEvent", type="keyUp", **of)

    def picture(self, selector: str) -> bytes:
        """What is drawn of an element, as PNG."""
        box = self.evaluate(
            f"(() => {{ const {{ x, y, width, height }} = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
            " return { x: x + scrollX, y: y + scrollY, width, height }; })()"
        )
        return base64.b64decode(
            self.send("Page.captureScreenshot", format="png", clip=box | {"scale": 1})["data"]
        )

    @property
    def complaints(self) -> list[str]:
        """What stands in the console, and what no script caught."""
        told = [params["entry"]["text"] for method, params in self.events if method == "Log.entryAdded"]
        told += [
            str(params["exceptionDetails"])
            for method, params in self.events
            if method == "Runtime.exceptionThrown"
        ]
        return told + [
            str(params["args"]) for method, params in self.events if method == "Runtime.consoleAPICalled"
        ]

    @property
    def requests(self) -> list[str]:
        """The addresses that were asked for."""
        return [
            params["request"]["url"]
            for method, params in self.events
            if method == "Network.requestWillBeSent"
        ]

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        self._process.wait(timeout=30)
        os.close(self._in)
        os.close(self._out)
