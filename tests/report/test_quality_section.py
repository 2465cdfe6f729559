"""Gates that are passed are not all that a reader wants of a dictionary."""

import pytest

from crosslens.report.sections.quality import finding


def of(recovered, *, passed=True):
    gates = [{"gate": "alive", "passed": passed, "says": "900 of 1000 features fire on no token"}]
    of = {"corpus": "joint", "language": "en", "site": "4", "ev": 0.9, "gates": gates}
    return of | {"ce_recovered_mean": recovered}


@pytest.mark.parametrize(
    ("records", "kind", "title"),
    [
        ([of(0.6), of(None)], "found", "All dictionaries pass all quality gates."),
        (
            [of(0.6), of(-3.04), of(None)],
            "warning",
            "All gates are passed, and in 1 of 2 cases the model does worse with the reconstruction than with the mean "
            "activation: read what follows with care.",
        ),
        ([of(0.6, passed=False)], "warning", "1 quality gate fails: read what follows with care."),
        # what could not be said is not passed
        ([of(0.6, passed=None)], "warning", "1 quality gate is undefined: read what follows with care."),
        (
            [of(0.6, passed=None), of(0.6, passed=None), of(0.6, passed=False)],
            "warning",
            "1 quality gate fails, and 2 quality gates are undefined: read what follows with care.",
        ),
    ],
)
def test_a_dictionary_that_serves_the_model_less_than_one_vector_is_no_good_news(records, kind, title):
    found = finding(records)
    assert (found.kind, found.title) == (kind, title)
    below = "Cross-entropy recovered against the mean activation is below 0: Block 4, joint SAE on English (−3.04)."
    assert (below in found.lines) == (records[1:2] == [of(-3.04)])
