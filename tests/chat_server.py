"""A real local server of `/v1/chat/completions`: it answers by a rule, or misbehaves as it is told."""

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SAID = "test-7b-instruct"
"""What it calls its model."""


@dataclass
class Reply:
    """One answer on the wire."""

    body: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0
    """Seconds before it."""
    drip: float = 0
    """Seconds after each of its bytes."""


@dataclass
class Server:
    """Its address, what it was asked, and what it answers next; when that is used up, the rule's answer."""

    url: str
    rule: Callable[[str], str]
    asked: list[dict] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    dripped: int = 0
    """Bytes that left one at a time."""


def completion(text: str) -> str:
    """A chat completion of these words."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return json.dumps({"object": "chat.completion", "model": SAID, "choices": [choice]})


def by_words(prompt: str) -> str:
    """A model that names what is marked, most of all, and finds these words again; it thinks aloud before."""
    if "<<" in prompt:
        marked = re.findall(r"<<(.+?)>>", prompt)
        label = " ".join(sorted(set(marked), key=lambda word: (-marked.count(word), word))[:2])
        return f'So {{that}} is it.\n```json\n{{"label": "{label}"}}\n```'
    label = prompt.split("\n")[1].split()
    texts = re.findall(r'^(\d+): "(.*)"$', prompt, re.MULTILINE)
    numbers = [int(number) for number, text in texts if set(label) & set(text.split())]
    return json.dumps({"matches": numbers})


@contextlib.contextmanager
def serving_chat(rule: Callable[[str], str] = by_words) -> Iterator[Server]:
    """A server on a free port, in a thread."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = (
            True  # headers and body leave apart: it would wait for the other side between them
        )

        def do_POST(self):
            """Answer, or misbehave."""
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            served.asked.append(body)
            served.keys.append(self.headers["Authorization"])
            served.paths.append(self.path)
            prompt = body["messages"][0]["content"]
            reply = served.replies.pop(0) if served.replies else Reply(completion(served.rule(prompt)))
            time.sleep(reply.delay)
            content = reply.body.encode()
            with contextlib.suppress(ConnectionError):  # the client may have given up
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(content)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                for byte in content if reply.drip else ():
                    self.wfile.write(bytes([byte]))
                    served.dripped += 1
                    time.sleep(reply.drip)
                self.wfile.write(b"" if reply.drip else content)

        def log_message(self, *words):
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Server(f"http://127.0.0.1:{server.server_port}/v1", rule)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
