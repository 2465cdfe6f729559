"""What the page says of agreement: as much as the numbers, a null as plainly as a finding, and nothing of what was not tested."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from stand_in import StandIn

from crosslens.gender.agreed import agreed
from crosslens.report.sections import agreement
from crosslens.summary.agreement import agreement_records
from crosslens.summary.claims import claimed
from crosslens.tables.documents import write_json

LEFT_OUT = {"not of both genders": 0, "no gendered word behind another": 7}


def told(folder, female, male, beside=()):
    """The section of one language: sentences of one word each, with these log-odds behind either gender, in a study whose
    other claims have these p."""
    count = len(female)
    table = pd.DataFrame(
        {
            "group": [f"s{number}" for number in range(count)],
            "split": "test",
            **dict.fromkeys(("before", "distance", "pieces_female", "pieces_male"), 1),
            "log_odds_female": np.asarray(female, float),
            "log_odds_male": np.asarray(male, float),
            "log_odds_alone": -1.0,
        }
    )
    of = agreed(table, alpha=0.05, bootstraps=50, seed=0, stream_name="en")
    document = {"language": "en", "sentences": count, "left_out": LEFT_OUT, "of": {"all": of, "test": of}}
    write_json(folder / "agreement.json", "agreement", document)
    records = {"agreement": agreement_records({"en": folder / "agreement.json"})}
    others = zip(("sharing", "specific"), beside, strict=False)
    records |= {name: [{"p": p, "least_p": 0.001, "q_family": "features"}] for name, p in others}
    claims = claimed(records, 0.05)
    corrected = f"{len(claims)} claims"
    return agreement.section(
        StandIn(records, files={"agreement": {"en": folder}}, corrected=lambda *of: corrected)
    )


def test_a_model_that_agrees_and_leans_to_the_male_form(tmp_path):
    """D is above 0 in 9 of 10 sentences; the male form is the likelier behind most of both genders."""
    section = told(tmp_path, [1, 1, *[-1] * 7, -5], [-3] * 10)
    (finding,) = section.findings
    assert finding.kind == "found"
    assert finding.title.startswith("English: the model goes on as the gender that it has read asks")
    assert "behind that of a man in 90.0 % [" in finding.lines[0] and "n average" in finding.lines[0]
    assert "in 60.0 % [" in finding.lines[1] and ": 20.0 % [" in finding.lines[1]
    assert (
        "100.0 % [" in finding.lines[1]
        and "With nothing read, the female form is the likelier in 0.0 %" in finding.lines[1]
    )
    body = "".join(map(str, section.body))
    assert "10 words of 10 sentences; sentences left out: 7 no gendered word behind another." in body
    assert body.count("<tr") == (1 + 2) + (1 + 3)


def test_against_what_was_read_by_chance_and_not_tested_are_three_things(tmp_path):
    (against,) = told(tmp_path, [-1] * 10, [1] * 10).findings
    assert against.kind == "found" and "against what the gender that it has read asks" in against.title
    (null,) = told(tmp_path, [1, -1] * 5, [0] * 10).findings
    assert null.kind == "null" and "does not follow the gender that it has read beyond chance" in null.title
    (few,) = told(tmp_path, [1] * 5, [0] * 5).findings
    assert few.kind == "warning" and "was not tested, because of 5 sentences" in few.title


def test_what_six_sentences_could_not_show_beside_other_claims_is_no_null(tmp_path):
    """All six alike have p = 2 / 2⁶ = .031, which times three is above the level."""
    (few,) = told(tmp_path, [1] * 6, [0] * 6, beside=(0.5, 0.6)).findings
    assert (
        few.kind == "warning" and "because with so few test sentences no result could be claimed" in few.title
    )
    (alone,) = told(tmp_path, [1] * 6, [0] * 6).findings
    assert alone.kind == "found"


@pytest.mark.parametrize("files", [{}, {"agreement": {}}])
def test_studies_without_such_sentences_have_no_section(files):
    assert agreement.section(SimpleNamespace(files=files)) is None
