"""What README.md shows of dry runs and plans."""

import sys

import pytest
import readme
from checkouts import START, Checkout

from crosslens.certificate.cited import cited


@pytest.mark.usefixtures("source")
def test_sample_outputs_are_what_the_commands_say(tmp_path):
    """`python tests/workflow/readme.py` brings them up to date."""
    text = readme.README.read_text(encoding="utf-8")
    asked = []
    run = readme.in_new_checkout(tmp_path, (Checkout.python, START, sys.executable))
    assert readme.renewed(text, lambda command: asked.append(command) or run(command)) == text
    assert {command.split()[0] for command in asked} == {"snakemake", "crosslens"} and len(asked) >= 4


@pytest.mark.parametrize("file", readme.CITING, ids=lambda file: file.name)
def test_tables_of_the_certificate_are_its_numbers(file):
    text = file.read_text(encoding="utf-8")
    assert text.count("<!-- certificate: ") == 1 and "| activation patching |" in text
    assert cited(text, readme.CERTIFICATE) == text


def test_a_line_is_known_by_its_words_and_takes_its_numbers():
    text = "```\n$ snakemake -n\nextract    7\n…\nJob 3: SAEs of en [1 GPU]\n$ crosslens store gc\nfreed 3\n```\n"
    printed = "encode   5\nextract  4\nJob 8: SAEs of en [1 GPU]"
    assert readme.renewed(text, lambda command: printed) == text.replace("extract    7", "extract  4")
    with pytest.raises(AssertionError, match="extract"):
        readme.renewed(text, lambda command: "encode 5")
