"""How long jobs may take on a cluster: by a plan's hours, which a tokenizer and the model's own modules tell."""

from collections import defaultdict
from pathlib import Path

import pytest
import yaml

from crosslens.artifacts.table import Studies, Table
from crosslens.planning.limits import ROOM, Limits
from crosslens.planning.plan import make_plan
from crosslens.planning.rates import Rate, Rates, load_rates
from crosslens.store.digests import FileDigests
from crosslens.study.study import Study

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow/schemas/study.schema.yaml"
CAPTION, ARABIC = (
    "A woman in a red coat waits at the bus stop with her dog.",
    "امرأة ترتدي معطفاً أحمر تنتظر الحافلة مع كلبها.",
)


def caption_study(folder: Path, rows: int) -> Study:
    """config/studies/gemma3_4b.yaml with so many captions."""
    settings = yaml.safe_load((ROOT / "config/studies/gemma3_4b.yaml").read_text(encoding="utf-8"))
    lines = [f"{number},{CAPTION},{ARABIC}" for number in range(rows)]
    (folder / "captions.csv").write_text(
        "\n".join(["image_id,english_prompt,arabic_prompt", *lines]) + "\n", encoding="utf-8"
    )
    settings["source"] = {"captions": str(folder / "captions.csv"), "images": str(folder)}
    (folder / "real.yaml").write_text(yaml.safe_dump(settings, allow_unicode=True), encoding="utf-8")
    return Study("real", folder, SCHEMA, FileDigests(folder / "files.json"), data_needed=False)


def limits_of(study: Study, rates: Rates) -> dict[str, int]:
    """Of every rule the minutes of its longest job."""
    table = Table(Studies(lambda name: study))
    limits, found = Limits(table, rates), defaultdict(int)
    for kind, wildcards in table.everything(study.name):
        rule = table.kinds[kind].by
        place = {name: wildcards[name] for name in table.per(rule)}
        found[rule] = max(found[rule], limits.minutes(rule, place))
    return found


def slowed(times: float) -> Rates:
    """The shipped rates of a machine that many times slower, so that sizes and not the rules' own minutes say how long."""
    rates = load_rates().rates
    return Rates(
        [
            rate._replace(value=rate.value * times if rate.unit.startswith("s ") else rate.value / times)
            if " / s" in rate.unit or "/s" in rate.unit or rate.unit.startswith("s ")
            else rate
            for rate in rates
        ]
    )


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        yield caption_study(tmp_path_factory.mktemp("real"), 60)


def test_a_job_may_take_several_times_what_is_planned_and_not_for_ever(real, monkeypatch):
    """The plan counts tokens by characters and weights by the model's modules; limits know neither."""
    monkeypatch.chdir(ROOT)
    rates = slowed(10_000)
    plan, limits = make_plan(real, rates), limits_of(real, rates)
    floors = {rule: work.minutes for rule, work in Table(Studies(lambda name: real)).works.items()}
    assert {jobs.rule for jobs in plan.jobs} == limits.keys()
    start, long = rates.find("job_start").value / 60, []
    for jobs in plan.jobs:
        planned = 60 * jobs.hours / jobs.count - start
        if ROOM * planned < floors[jobs.rule]:
            assert limits[jobs.rule] <= 4 * floors[jobs.rule], jobs.rule
        else:
            assert 0.75 * ROOM * planned < limits[jobs.rule] < 10 * ROOM * planned, jobs.rule
            long.append(jobs.rule)
    assert {"extract", "train_saes", "splice_saes", "apply_saes", "analyse_codes", "generate_captions"} <= {
        *long
    }


def test_a_job_without_much_to_do_has_what_its_rule_says(real, monkeypatch):
    monkeypatch.chdir(ROOT)
    works = Table(Studies(lambda name: real)).works
    limits = limits_of(real, load_rates())
    assert limits["train_saes"] == works["train_saes"].minutes
    assert limits["draw_layer_figures"] == works["draw_layer_figures"].minutes < limits["extract"]


def test_limits_follow_rates_of_ones_own(real, monkeypatch):
    monkeypatch.chdir(ROOT)
    own = [
        Rate("gpu: mine", "sae_training", rate, "tokens × d_model × d_sae / s", "measured")
        for rate in (2e6, 1e6)
    ]
    fast, slow = (limits_of(real, Rates([rate, *load_rates().rates])) for rate in own)
    assert slow["train_saes"] == pytest.approx(2 * fast["train_saes"], rel=0.01)
    assert {rule for rule in slow if slow[rule] != fast[rule]} == {"train_saes"}
