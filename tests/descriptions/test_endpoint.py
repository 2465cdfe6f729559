"""A real local HTTP server answers: well, late, never, nonsense, or with the key that it was given."""

import json
import logging
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from chat_server import SAID, Reply, completion, serving_chat
from labelled_world import CAT, ENGLISH, RANDOM, RED_HOUSE, WORDS

from crosslens.descriptions.chat import Chat
from crosslens.descriptions.detections import ask_detections, detection_prompt, tried
from crosslens.descriptions.labels import ask_labels, marked
from crosslens.descriptions.reading import field, read_label
from crosslens.descriptions.scores import read_matches, score_labels
from crosslens.errors import InputError
from crosslens.tables.documents import read_json

KEY = "sk-Planted/Key+0123456789"
LIMIT = {"Retry-After": "7"}


@pytest.fixture
def server():
    with serving_chat() as served:
        yield served


@pytest.fixture
def chat(server, monkeypatch):
    """A function to a client of the server, whose waits are noted and not waited for."""
    monkeypatch.setenv("A_KEY", KEY)

    def made(**more):
        given = {"url": server.url, "model": "m", "key": "A_KEY", "timeout": 5, "retries": 2}
        client = Chat(**{**given, "sleep": lambda seconds: waits.append(seconds), **more})
        client.waits = waits
        return client

    waits: list[float] = []
    return made


def refused(chat, prompt="?"):
    """The one line that it ends in, which never holds the key."""
    with pytest.raises(InputError) as told:
        chat.ask(prompt)
    line = str(told.value)
    assert "\n" not in line and "To mend: " in line and KEY not in line and KEY[3:12] not in line
    return line


def test_it_asks_as_the_protocol_says(server, chat):
    server.replies = [Reply(completion(" yes "))]
    assert chat().ask("Is it?") == (" yes ", SAID)
    assert server.paths == ["/v1/chat/completions"] and server.keys == [f"Bearer {KEY}"]
    message = {"role": "user", "content": "Is it?"}
    form = {"type": "json_object"}
    assert server.asked == [
        {"model": "m", "messages": [message], "temperature": 0.0, "response_format": form}
    ]


@pytest.mark.parametrize(
    ("called", "name"),
    [("/srv/models/m.gguf", "m.gguf"), ("C:\\models\\m.gguf", "m.gguf"), ("org/model-7b", "org/model-7b")],
)
def test_a_model_is_called_by_its_name_not_by_a_path(server, chat, called, name):
    """llama.cpp's server says where its file lies."""
    server.replies = [Reply(json.dumps(json.loads(completion("yes")) | {"model": called}))]
    assert chat().ask("?") == ("yes", name)


def test_without_a_key_none_is_sent_and_a_netrc_is_not_read(server, chat, tmp_path, monkeypatch):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    server.replies = [Reply(completion("yes"))]
    assert chat(key=None, temperature=None, json_mode=False).ask("?").text == "yes"
    assert server.keys == [None] and server.asked[0].keys() == {"model", "messages"}


@pytest.mark.parametrize(
    ("replies", "waits"),
    [
        ([Reply("slow down", 429, LIMIT)], [7]),
        ([Reply("", 503), Reply("", 500)], [1, 2]),
        ([Reply("", 429, {"Retry-After": "soon"})], [1]),
    ],
)
def test_a_busy_server_is_asked_again_when_it_says(server, chat, replies, waits):
    server.replies = [*replies, Reply(completion("now"))]
    client = chat()
    assert client.ask("?").text == "now" and client.waits == waits


def test_a_date_to_be_asked_again_is_a_wait(server, chat):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server.replies = [Reply("", 429, {"Retry-After": date}), Reply(completion("now"))]
    client = chat()
    client.ask("?")
    assert 25 < client.waits[0] <= 30


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply("", 429, LIMIT), "HTTP 429, 3 times"),
        (Reply("", 429, {"Retry-After": "86400"}), "to be asked again in 86400 s"),
        (Reply("", 502), "HTTP 502, 3 times"),
        (Reply(json.dumps({"error": {"message": f"bad key {KEY}"}}), 401), "HTTP 401 with the key in A_KEY"),
        (Reply(json.dumps({"error": {"message": f"no m for {KEY}"}}), 404), "HTTP 404, no m for [key]"),
        (Reply("<html>", 404), "HTTP 404; expected a chat completion"),
        (Reply("", 302, {"Location": "http://127.0.0.1:1/v1"}), "HTTP 302"),
    ],
    ids=lambda value: str(getattr(value, "status", ""))[:3],
)
def test_a_server_that_refuses_ends_in_one_line(server, chat, reply, words):
    server.replies = [reply] * 3
    assert words in refused(chat())


def test_a_server_that_is_late_or_drips_ends_in_one_line(server, chat):
    """Whole answers have a time: byte after byte just in time is none."""
    server.replies = [Reply(completion("late"), delay=1)]
    assert "no answer in time, 1 times" in refused(chat(timeout=0.2, retries=0))
    server.replies = [Reply(completion("drip"), drip=0.1)]
    assert "no answer in time" in refused(chat(timeout=0.4, retries=0))
    assert 0 < server.dripped < len(completion("drip")) / 2, "the end of it was waited for"


def test_no_server_and_a_broken_answer_end_in_one_line(server, chat):
    assert "no connection" in refused(chat(url="http://127.0.0.1:9/v1", retries=1))
    server.replies = [Reply("{}", headers={"Content-Length": "50"})]
    assert refused(chat(timeout=1, retries=0))


@pytest.mark.parametrize(
    "body",
    ["", "no JSON", "[]", "{}", '{"choices": []}', '{"choices": [{"message": {"content": null}}]}']
    + ['{"choices": [{"message": {"content": "  "}}]}', '{"error": "x"}', '{"choices": {"0": 1}}'],
)
def test_what_is_no_chat_completion_is_no_answer(server, chat, body):
    server.replies = [Reply(body)]
    assert chat().ask("?").text is None


@pytest.mark.parametrize("value", [None, "", " \n", "sk-a b", "sk-\u2026", "sk-a\nb"])
def test_a_key_that_is_none_is_told_without_it(monkeypatch, value):
    monkeypatch.delenv("A_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("A_KEY", value)
    with pytest.raises(InputError, match="A_KEY") as told:
        Chat(url="http://127.0.0.1:9/v1", model="m", key="A_KEY")
    assert "sk-" not in str(told.value)


def test_a_key_with_a_line_end_is_sent_without_it(server, chat, monkeypatch):
    monkeypatch.setenv("A_KEY", f"{KEY}\n")
    server.replies = [Reply(completion("yes"))]
    assert chat().ask("?").text == "yes"
    assert server.keys == [f"Bearer {KEY}"]


@pytest.fixture
def endpoint(server, monkeypatch):
    monkeypatch.setenv("A_KEY", KEY)
    return {"url": server.url, "key": "A_KEY", "timeout": 5, "retries": 0}


def ask(labelled, folder, endpoint):
    """Both questions and the scores; (feature, language) to the endpoint's row."""
    described, model = labelled[0] / "described.json", {"model": "m", "temperature": 0.0, "json_mode": True}
    for name in ("labels", "detections"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    labels, detections = folder / "labels/object.json", folder / "detections/object.json"
    ask_labels(described=described, **model, endpoint=endpoint, out=labels)
    ask_detections(described=described, labels=labels, **model, batch=7, endpoint=endpoint, out=detections)
    score_labels(
        described=described,
        ngrams=labelled[0] / "ngrams.json",
        labels=labels,
        detections=detections,
        out=folder / "scores.json",
    )
    document = read_json(folder / "scores.json", "descriptions")
    rows = [row for row in document["rows"] if row["method"] == "endpoint"]
    return document, {(row["feature"], row["language"]): row for row in rows}


def test_a_model_that_reads_marks_labels_planted_features_and_tells_where_they_fire(
    labelled, endpoint, tmp_path
):
    document, rows = ask(labelled, tmp_path, endpoint)
    for language, words in WORDS.items():
        assert set(rows[CAT, language]["label"].split()) == {words[0] for words in WORDS.values()}
        row = rows[CAT, language]
        assert row["accuracy"]["value"] == 1 and row["p"] < 1e-6 and row["shuffled_over"] == 1
        assert row["shuffled"] < 0.75
        assert rows[RANDOM, language]["p"] > 0.01
        # its model marks the second of two words, and finds that without the first
        assert words[2] in rows[RED_HOUSE, language]["label"]
    assert rows[ENGLISH, "ar"]["because"].startswith("it fires in 0 of 60")
    assert document["endpoint"]["model"] == "m" and document["endpoint"]["answered_by"] == [SAID]
    assert document["endpoint"]["unanswered"] == 0


def test_a_label_is_asked_for_beside_the_tokens_that_the_feature_promotes(
    labelled, server, endpoint, tmp_path
):
    ask(labelled, tmp_path, endpoint)
    asked = read_json(tmp_path / "labels/object.json", "asked_labels")["features"]
    prompts = {entry["feature"]: entry["prompt"] for entry in asked}
    assert 'likelier to come next, by its direction alone, the most first: ["kitten", "قطة"' in prompts[CAT]
    assert 'less likely to come next, by its direction alone, the most first: ["dog"]' in prompts[CAT]
    assert "kitten" not in prompts[RANDOM]


def test_no_more_is_asked_than_a_stopped_job_left(labelled, server, endpoint, tmp_path):
    """The server ends after some answers: what came is not asked for again."""
    server.replies = [Reply(completion('{"label": "x"}'))] * 2 + [Reply("", 400)]
    with pytest.raises(InputError, match="HTTP 400"):
        ask(labelled, tmp_path, endpoint)
    assert len(server.asked) == 3
    with (tmp_path / "labels/answers.jsonl").open("a") as file:
        file.write('\n["torn')
    ask(labelled, tmp_path, endpoint)
    labels = [one for one in server.asked if "<<" in one["messages"][0]["content"]]
    assert len(labels) == 3 + 2  # two answered, one refused; that one and the last again


def test_nonsense_is_counted_as_no_answer(labelled, server, endpoint, tmp_path):
    """Every third question gets words without JSON, other fields, or numbers beyond the texts: pairs go, and are counted."""
    server.rule, rule, turn = None, server.rule, iter(range(10**6))

    def answer(prompt):
        if "<<" in prompt or next(turn) % 3:
            return rule(prompt)
        return ["I do not know.", '{"matches": [99]}', '{"found": [1]}', '{"matches": "all"}'][next(turn) % 4]

    server.rule = answer
    _, rows = ask(labelled, tmp_path, endpoint)
    tested = [row for row in rows.values() if row["label"] and row["accuracy"]]
    assert sum(row["unanswered"] for row in tested) > 0
    assert all(row["pairs"] + row["unanswered"] == 20 for row in tested)
    assert rows[CAT, "en"]["accuracy"]["value"] == 1


def test_a_server_of_something_else_is_told_at_once(labelled, server, endpoint, tmp_path):
    server.rule = lambda prompt: ""
    with pytest.raises(InputError, match="no chat completion in any of 4 answers"):
        ask(labelled, tmp_path, endpoint)
    assert not list(tmp_path.rglob("*.json*"))


def test_the_key_is_in_no_file_and_no_log(labelled, server, endpoint, tmp_path, caplog):
    """The server puts it into its answers; urllib3 and requests log all they do."""
    caplog.set_level(logging.DEBUG)
    rule, server.rule = server.rule, lambda prompt: f"{KEY} {rule(prompt)} Bearer {KEY}"
    server.replies = [Reply(completion(f'{{"label": "{KEY}"}}'))]
    ask(labelled, tmp_path, endpoint)
    assert set(server.keys) == {f"Bearer {KEY}"}
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert len(files) == 5
    for file in files:
        assert KEY not in file.read_text(encoding="utf-8") and "[key]" in file.read_text(encoding="utf-8")
    assert KEY not in caplog.text and not any(KEY in json.dumps(one) for one in server.asked)


def test_a_label_is_tried_on_its_own_texts_and_on_one_others():
    pairs = tried([1, 2, 3], [1, 2, 4, 5])
    assert {(feature, of) for feature, of in pairs if feature == of} == {(1, 1), (2, 2)}
    assert len(pairs) == 4 and {of for feature, of in pairs if feature != of} <= {1, 2, 4, 5}
    assert tried([1], [1]) == [(1, 1)]


def test_prompts_hold_texts_as_json_and_marks_around_what_fires():
    example = {"caption": 'a "red"\nhouse', "tokens": [["caption", 3, 6, 0, 1.0], ["caption", 6, 7, 1, 2.0]]}
    assert marked(example) == 'a "<<red">>\nhouse'
    assert '2: "a\\n\\"b\\""' in detection_prompt("x", ["c", 'a\n"b"'])


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ('{"label": " a  b\\n"}', "a b"),
        ('<think>{"label": "no"} {broken</think>```json\n{"label": "yes"}\n```', "yes"),
        ('{"label": 3}', None),
        ("{" * 5000, None),
        ("", None),
        (None, None),
        ('{"label": ""}', None),
        (json.dumps({"label": "x" * 999}), "x" * 200),
    ],
)
def test_a_label_is_found_among_what_models_say(answer, label):
    assert read_label(answer) == label


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ('{"matches": [1, 3]}', {1, 3}),
        ('Sure: {"matches": ["2"]}.', {2}),
        ('{"matches": []}', set()),
        ('{"matches": [0]}', None),
        ('{"matches": [4]}', None),
        ('{"matches": [true]}', None),
        ('{"matches": [1.0]}', None),
        ('{"matches": 1}', None),
        ("1, 3", None),
        (None, None),
    ],
)
def test_numbers_are_those_of_the_texts(answer, numbers):
    assert read_matches(answer, 3) == numbers


def test_the_last_object_that_has_the_field_counts():
    assert field('{"a": 1} {"a": 2} {"b": 3}', "a") == 2
