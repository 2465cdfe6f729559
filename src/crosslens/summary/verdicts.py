"""Does a statement live? Tried unit by unit, over studies, and beside what may kill it.

A *unit* is what the claim is judged on: a language, a pair, at each layer or over all. It **holds** where the whole 95 %
interval of its estimate lies beyond the threshold, **fails** where the whole lies on the other side, and is **open**
otherwise. A count has no interval and tells by itself; that of an estimate over layers is of the layers. A claim that holds
in less than a tenth of the units that are decided **dies** of itself; one that holds in nine tenths of them, which are at
least half of all, is put beside its controls; all else is **undecided**.

A control **kills** a claim where it reaches the study's own value in at least half of the units that both have; it is
**passed** where the study lies beyond it, intervals apart, in nine tenths of them. A claim **lives** where all the controls
that it names were there and were passed. Nothing is corrected for the number of claims: a verdict is a description of these
studies, and says in how many units it rests.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from crosslens.errors import InputError
from crosslens.summary.reading import Document
from crosslens.tables.documents import write_json

Record = dict[str, Any]
Unit = tuple[str, ...]
MOST, LEAST_DECIDED, REACHED = 0.9, 0.5, 0.5
LAYERS = 3
"""Of the estimators over layers: at least. So few have no interval but for their mean, and nothing is decided."""


class Estimate(NamedTuple):
    """A number with its 95 % interval: the number itself of what is counted; infinite where too little tells it."""

    value: float
    low: float
    high: float

    def beyond(self, claim: Mapping[str, Any]) -> "Estimate":
        """How far it lies beyond the claim's threshold, on the side where the claim holds."""
        if claim["above"] is not None:
            return Estimate(*(x - claim["above"] for x in self))
        return Estimate(claim["below"] - self.value, claim["below"] - self.high, claim["below"] - self.low)


def judge_claims(
    *, summaries: Mapping[str, Path], claims: Sequence[Record], roles: Mapping[str, str], out: Path
) -> None:
    """Write JSON of kind verdicts: of each claim its verdict, why, and its units.

    summaries: study -> its summary.json. roles: study -> "" (the claim is made of it), the control that it is of the first
    study, or "without" (nothing is to be found there). Raises InputError where a field that a claim names is missing.
    """
    lists = {name: Document(path, "summary")("records") for name, path in summaries.items()}
    judged = [judge(claim, lists, roles, summaries) for claim in claims]
    write_json(out, "verdicts", {"studies": dict(roles), "claims": judged})


def judge(
    claim: Record,
    lists: Mapping[str, Mapping[str, list[Record]]],
    roles: Mapping[str, str],
    where: Mapping[str, Any],
) -> Record:
    """One claim with its verdict."""
    found = {name: estimates(claim, lists[name].get(claim["records"], []), where[name]) for name in lists}
    first = next(iter(lists))
    relative = next((name for name, role in roles.items() if role and role == claim["relative_to"]), None)
    if claim["relative_to"] is not None:
        ratios = _ratios(found[first], found.get(relative, {}) if relative else {})
        found = {first: ratios}
    units = {
        (name, *unit): e
        for name, role in roles.items()
        if not role
        for unit, e in found.get(name, {}).items()
    }
    states = {unit: _state(estimate.beyond(claim)) for unit, estimate in units.items()}
    tally = {state: list(states.values()).count(state) for state in ("holds", "fails", "open")}
    beside = {
        name: _beside(claim, found[first], found[name])
        for name, role in roles.items()
        if name in found and (role == "without" or role in claim["controls"])
    }
    verdict, because = _verdict(claim, tally, beside, roles.values())
    return {
        **{
            name: claim[name]
            for name in ("name", "statement", "source", "records", "estimator", "above", "below")
        },
        "fields": claim["units"],
        "verdict": verdict,
        "because": because,
        "units": {"all": len(units), **tally},
        "controls": beside,
        "estimates": [
            {"study": unit[0], "unit": list(unit[1:]), "state": states[unit]}
            | {name: x if np.isfinite(x) else None for name, x in estimate._asdict().items()}
            for unit, estimate in units.items()
        ],
    }


def _verdict(
    claim: Record, tally: Mapping[str, int], beside: Mapping[str, Record], known: Container[str]
) -> tuple[str, str]:
    missing = [control for control in claim["controls"] if control not in known]
    decided = tally["holds"] + tally["fails"]
    every = decided + tally["open"]
    if not every:
        if claim["relative_to"] is not None and claim["relative_to"] not in known:
            return "not tested", f"no control {claim['relative_to']} was built"
        return "not tested", f"no record of `{claim['records']}` in these studies is one that it is about"
    counted = f"holds in {tally['holds']} of {every} units, fails in {tally['fails']}"
    if decided and tally["holds"] < (1 - MOST) * decided:
        return "dies", counted
    if tally["holds"] < MOST * decided or decided < LEAST_DECIDED * every:
        return "undecided", counted
    if killers := [name for name, of in beside.items() if of["told"] == "reached"]:
        return "dies", f"{counted}; killed by {', '.join(killers)}, at least as much there"
    doubts = [name for name, of in beside.items() if of["told"] != "passed"]
    if doubts or missing:
        why = [f"not clear of {', '.join(doubts)}"] * bool(doubts) + [
            f"not put beside {', '.join(missing)}"
        ] * bool(missing)
        return "undecided", f"{counted}; {' and '.join(why)}"
    return "lives", f"{counted}; {', '.join(beside) + ' passed' if beside else 'no control is asked for'}"


def _state(beyond: Estimate) -> str:
    if beyond.low > 0:
        return "holds"
    return "fails" if beyond.high <= 0 else "open"


def _beside(claim: Record, study: Mapping[Unit, Estimate], control: Mapping[Unit, Estimate]) -> Record:
    """How a control compares with the study, over the units that both have."""
    pairs = [(study[unit].beyond(claim), control[unit].beyond(claim)) for unit in study if unit in control]
    clear = sum(here.low > there.high for here, there in pairs)
    reached = sum(there.value >= here.value for here, there in pairs)
    told = (
        "nothing in common"
        if not pairs
        else "reached"
        if reached >= REACHED * len(pairs)
        else "passed"
        if clear >= MOST * len(pairs)
        else "open"
    )
    return {"told": told, "units": len(pairs), "clear": clear, "reached": reached}


def _ratios(study: Mapping[Unit, Estimate], control: Mapping[Unit, Estimate]) -> dict[Unit, Estimate]:
    """The control's value over the study's, which is taken as it is: intervals are the control's."""
    return {
        unit: Estimate(*(x / study[unit].value for x in control[unit]))
        for unit in study
        if unit in control and study[unit].value > 0
    }


def estimates(claim: Record, records: Iterable[Record], where: Any) -> dict[Unit, Estimate]:
    """Unit -> its estimate; units of which a value was not measured are left out."""
    rows = [
        (record, estimate)
        for record in records
        if all(_asked(_field(record, name, claim, where), value) for name, value in claim["where"].items())
        and (estimate := _estimate(claim, record, where)) is not None
    ]
    return _ESTIMATORS[claim["estimator"]](claim, rows, where)


Rows = list[tuple[Record, Estimate]]


def _each(claim: Record, rows: Rows, where: Any) -> dict[Unit, Estimate]:
    return {_unit(claim, record, where, "site"): estimate for record, estimate in rows}


def _over_layers(of: Callable[[np.ndarray], Estimate]) -> Callable[[Record, Rows, Any], dict[Unit, Estimate]]:
    """An estimator of the values (layers) in the order of the layers, its units: of residual streams alone."""

    def estimator(claim: Record, rows: Rows, where: Any) -> dict[Unit, Estimate]:
        units: dict[Unit, dict[int, float]] = {}
        for record, estimate in rows:
            site = str(_field(record, "site", claim, where))
            if site.isdigit():
                units.setdefault(_unit(claim, record, where), {})[int(site)] = estimate.value
        return {
            unit: of(np.array([layers[layer] for layer in sorted(layers)]))
            for unit, layers in units.items()
            if len(layers) >= LAYERS
        }

    return estimator


def mean(values: np.ndarray) -> Estimate:
    """Of the layers, with Student's interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return _around(values.mean(), half)


def middle(values: np.ndarray) -> Estimate:
    """Mean of the middle third of the layers, rounded outwards, less that of the others, with Welch's interval."""
    third = len(values) // 3
    inside = np.zeros(len(values), bool)
    inside[third : len(values) - third] = True
    difference = values[inside].mean() - values[~inside].mean()
    if min(inside.sum(), (~inside).sum()) < 2:
        return _around(difference, np.inf)
    told = stats.ttest_ind(values[inside], values[~inside], equal_var=False).confidence_interval()
    return (
        Estimate(float(difference), float(told.low), float(told.high))
        if np.isfinite(told.low)
        else _around(difference, 0.0)
    )


def depth(values: np.ndarray) -> Estimate:
    """Spearman's correlation with the order of the layers, 0 where all are alike; interval of Bonett and Wright (2000)."""
    n = len(values)
    r = float(stats.spearmanr(np.arange(n), values).statistic) if np.ptp(values) else 0.0
    if n <= LAYERS:
        return Estimate(r, -np.inf, np.inf)
    z = np.arctanh(np.clip(r, 1 / n**2 - 1, 1 - 1 / n**2))
    half = stats.norm.ppf(0.975) * np.sqrt((1 + r**2 / 2) / (n - 3))
    return Estimate(r, float(np.tanh(z - half)), float(np.tanh(z + half)))


def _around(value: float, half: float) -> Estimate:
    return Estimate(float(value), float(value - half), float(value + half))


def _contrast(claim: Record, rows: Rows, where: Any) -> dict[Unit, Estimate]:
    """The largest of one side less the largest of the other; its interval adds both half-widths in quadrature."""
    asked, sides = claim["contrast"], {}
    for record, estimate in rows:
        value = _field(record, asked["field"], claim, where)
        for side in ("of", "than"):
            if _asked(value, asked[side]):
                unit = sides.setdefault(_unit(claim, record, where, "site"), {})
                unit[side] = max(unit.get(side, estimate), estimate)
    found = {}
    for unit, of in sides.items():
        if len(of) == 2:
            one, other = of["of"], of["than"]
            value = one.value - other.value
            down = np.hypot(one.value - one.low, other.high - other.value)
            up = np.hypot(one.high - one.value, other.value - other.low)
            found[unit] = Estimate(value, float(value - down), float(value + up))
    return found


_ESTIMATORS = {
    "each": _each,
    "mean": _over_layers(mean),
    "middle": _over_layers(middle),
    "depth": _over_layers(depth),
    "contrast": _contrast,
}


def _estimate(claim: Record, record: Record, where: Any) -> Estimate | None:
    names = [claim["value"]] if isinstance(claim["value"], str) else claim["value"]
    values = [_field(record, name, claim, where) for name in names]
    less = 0.0 if claim["less"] is None else _field(record, claim["less"], claim, where)
    bounds = [_field(record, name, claim, where) for name in claim["interval"]] or [values[0]] * 2
    if any(value is None for value in (*values, less, *bounds)):
        return None
    if len(values) == 1:
        return Estimate(values[0] - less, bounds[0] - less, bounds[1] - less)
    if not values[1]:
        return None
    share = (values[0] - less) / values[1]
    return Estimate(share, share, share)


def _unit(claim: Record, record: Record, where: Any, *more: str) -> Unit:
    named = [_field(record, name, claim, where) for name in (*claim["units"], *more)]
    return tuple("–".join(map(str, value)) if isinstance(value, list) else str(value) for value in named)


def _asked(value: Any, asked: Any) -> bool:
    return value in asked if isinstance(asked, list) and not isinstance(value, list) else value == asked


def _field(record: Record, name: str, claim: Record, where: Any) -> Any:
    """A field of a record, that of a section in it behind a dot; raises InputError where there is none."""
    value: Any = record
    for key in name.split("."):
        if not isinstance(value, dict) or key not in value:
            raise InputError(
                f"claim {claim['name']}, field {name}",
                found=f"no such field in `{claim['records']}` of {where} ({', '.join(sorted(record))})",
                expected="a field of its records",
                mend="correct the claim's file (docs/storage.md says what a summary has)",
            )
        value = value[key]
    return value
