"""The studies that README.md writes out, run as they stand there on a few texts."""

import csv
import re
import sys

import pytest
import yaml
from checkouts import REPOSITORY, Checkout

from crosslens.tables.documents import read_json
from crosslens.tables.tokens import ROLES, read_tokens

sys.path.insert(0, str(REPOSITORY / "tests/report"))
from page_reader import Page

pytestmark = pytest.mark.long

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
EXAMPLES = dict(
    re.findall(r"^```yaml\n# config/studies/(\w+)\.yaml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
)
TOPICS = {
    "kitchen": ["a {} in the kitchen", "the {} cooks in a kitchen"],
    "garden": ["a {} in the garden", "the {} walks in a garden"],
    "office": ["a {} in the office", "the {} writes in an office"],
}
PEOPLE = "nurse guard teacher farmer".split()


def write_table(path, header, rows) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


@pytest.fixture(scope="module")
def examples(source, tmp_path_factory):
    """A checkout in which both were built, in one run."""
    checkout = Checkout.create(tmp_path_factory.mktemp("examples") / "checkout", source)
    for name, text in EXAMPLES.items():
        checkout.configure(name, yaml.safe_load(text))
    texts = [
        (text.format(person), topic) for topic, some in TOPICS.items() for text in some for person in PEOPLE
    ]
    write_table(
        checkout.folder / "data/topics.csv",
        ["id", "text", "topic"],
        [[f"t{i}", text, topic] for i, (text, topic) in enumerate(texts)],
    )
    words = [("a book", "كتاب", "un livre"), ("a lamp", "مصباح", "une lampe"), ("a cup", "كوب", "une tasse")]
    write_table(
        checkout.folder / "data/french.csv",
        ["image_id", "english_prompt", "arabic_prompt", "fr_caption"],
        [[f"p{i}", *(f"{word} {i}" for word in words[i % 3])] for i in range(15)],
    )
    checkout.snakemake(*(f"results/{name}/report/index.html" for name in EXAMPLES))
    return checkout


def page(checkout, name) -> Page:
    return Page((checkout.folder / f"results/{name}/report/index.html").read_text(encoding="utf-8"))


def test_there_is_one_of_each():
    assert EXAMPLES.keys() == {"topics", "french"}


def test_texts_with_categories_have_specialists_and_no_prompt(examples):
    results = examples.folder / "results/topics"
    rankings = read_json(results / "features/joint/en/layer_4/rankings.json", "rankings")
    assert rankings["specialists"]["categories"] == sorted(TOPICS)
    tokens = read_tokens(results / "activations/en/tokens/part_0000.zarr")
    assert {ROLES[role] for role in set(tokens.role.tolist())} <= {"bos", "caption"}
    told = page(examples, "topics")
    assert {"rankings", "specialists", "specialist"} <= told.tables.keys()
    assert not {"gender", "probes", "transfer"} & told.tables.keys()
    # a feature may promote the word
    assert "female" not in re.sub(r"Promotes .*?Largest activation", "", told.text, flags=re.DOTALL)


def test_a_third_language_is_compared_with_the_first(examples):
    told = page(examples, "french")
    assert "fr" in told.text
    layer = read_json(examples.folder / "results/french/layers/4.json", "layer")
    assert {frozenset(record["languages"]) for record in layer["cka"]} == {
        frozenset(pair) for pair in (("en", "ar"), ("en", "fr"))
    }
