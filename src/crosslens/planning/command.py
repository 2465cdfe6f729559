"""`crosslens plan STUDY`: what a study will take, printed before anything runs."""

import argparse
import json
import logging
from pathlib import Path

from crosslens.planning.plan import make_plan
from crosslens.planning.rates import load_rates
from crosslens.planning.show import as_document, as_text
from crosslens.store.checkout import checkout
from crosslens.store.digests import FileDigests
from crosslens.store.store import Store
from crosslens.study.controls import controls_of
from crosslens.study.settings import load_yaml
from crosslens.study.study import Study

CONFIG, SCHEMA = Path("config/config.yaml"), checkout() / "workflow/schemas/study.schema.yaml"


def told(args: argparse.Namespace) -> str:
    """The plan as text, or as JSON."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    folder = Path((load_yaml(CONFIG) or {}).get("studies", "config/studies"))
    digests = FileDigests(Store().own / "files.json")

    def read(name: str) -> Study:
        return Study(name, folder, SCHEMA, digests, data_needed=args.samples is None)

    study = read(args.study)
    controls = controls_of(study.name, study.settings["controls"])
    plan = make_plan(
        study,
        load_rates(args.rates),
        compared=[read(name) for name in (*study.settings["compare"]["with"], *controls)],
        config=args.config,
        samples=args.samples,
        tokens=args.tokens,
        gpu=not args.cpu,
    )
    return json.dumps(as_document(plan), ensure_ascii=False) if args.json else as_text(plan)
