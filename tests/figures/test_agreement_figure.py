"""The figure on agreement shows the shares of its documents."""

import numpy as np
import pandas as pd
import pytest

from crosslens.figures import agreement
from crosslens.gender.agreed import agreed
from crosslens.summary.names import language_name
from crosslens.tables.documents import write_json

AGREES = {"en": 30, "ar": 12}
"""Of 40 words."""


@pytest.fixture
def documents(tmp_path):
    """language -> document of 40 sentences with a word each, half of them one word away and half three, that agree alike."""
    found = {}
    for language, agrees in AGREES.items():
        female = np.where(np.arange(40) < agrees, 1.0, -1.0)
        table = pd.DataFrame(
            {"group": [f"s{i}" for i in range(40)], "split": "test", "before": 1}
            | dict.fromkeys(("pieces_female", "pieces_male"), 1)
            | {"distance": np.where(np.arange(40) % 2, 3, 1)}
            | {"log_odds_female": female, "log_odds_male": -0.5, "log_odds_alone": -1.0}
        )
        of = agreed(table, alpha=0.05, bootstraps=20, seed=0, stream_name=language)
        found[language] = tmp_path / f"{language}.json"
        document = {"language": language, "sentences": 40, "left_out": {}, "of": {"all": of, "test": of}}
        write_json(found[language], "agreement", document)
    return found


def test_points_are_the_shares_of_the_documents(documents, tmp_path, monkeypatch):
    drawn, save = [], agreement.save
    monkeypatch.setattr(agreement, "save", lambda *given: (drawn.append(given[0]), save(*given)))
    agreement.agreement_figure(agreement=documents, out=tmp_path / "out")
    assert (tmp_path / "out/agreement.png").read_bytes()[1:4] == b"PNG"
    shares, distance, _ = drawn[0].axes
    for axes, columns in ((shares, (0,)), (distance, (0, 1))):
        lines = {line.get_label(): line for line in axes.lines}
        for language, agrees in AGREES.items():
            y = lines[language_name(language)].get_ydata()
            assert [y[column] for column in columns] == pytest.approx([agrees / 40] * len(columns))
    # of the own forms: those of a man are likelier behind every man, those of a woman where the two agree
    of_women, of_men = (
        [line.get_ydata()[column] for line in shares.lines if len(line.get_ydata()) == 5] for column in (2, 3)
    )
    assert of_women == [0.75, 0.3] and of_men == [1, 1]
    assert "40 words of 40 sentences" in drawn[0].get_supxlabel()
