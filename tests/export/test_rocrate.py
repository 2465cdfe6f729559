"""A built study as an RO-Crate: whole, without links, and as the validator wants it."""

import contextlib
import io
import json
import urllib.request
from pathlib import Path
from urllib.response import addinfourl

import pytest

from crosslens.errors import InputError
from crosslens.export.rocrate import export_rocrate
from crosslens.results.built import Built
from crosslens.store.digests import content_digest


@pytest.fixture(scope="module")
def crate(built_once, tmp_path_factory):
    """Of the toy study, activations told of alone."""
    out = tmp_path_factory.mktemp("crate") / "toy"
    export_rocrate(Built(built_once.folder / "results/toy"), out, without=["activations"])
    return out


def graph(crate: Path) -> dict[str, dict]:
    return {
        entity["@id"]: entity
        for entity in json.loads((crate / "ro-crate-metadata.json").read_text())["@graph"]
    }


def test_every_file_is_there_with_its_bytes_and_no_link(built_once, crate):
    assert not [path for path in crate.rglob("*") if path.is_symlink()]
    study = Built(built_once.folder / "results/toy")
    built = study.artifacts().query("built")
    assert len(built) > 60
    for row in built.itertuples():
        if row.kind == "activations":
            assert not (crate / row.path).exists()
        elif (built_once.folder / row.path).is_symlink():
            assert content_digest(crate / row.path) == content_digest(built_once.folder / row.path), row.path
    assert (crate / "config/studies/toy.yaml").is_file() and (
        crate / "workflow/scripts/train_saes.py"
    ).is_file()


def test_what_is_named_is_told_of_and_what_is_packed_is_a_part(crate):
    entities = graph(crate)
    parts = {part["@id"] for part in entities["./"]["hasPart"]}
    for identity in parts:
        assert identity in entities and (crate / identity).exists()

    def references(value):
        if isinstance(value, dict):
            yield from (
                [value["@id"]]
                if set(value) == {"@id"}
                else [r for v in value.values() for r in references(v)]
            )
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for entity in entities.values():
        for of in references([value for name, value in entity.items() if name != "@id"]):
            assert of in entities or of.startswith("http"), (entity["@id"], of)


def test_an_artifact_leads_to_what_it_was_made_of(built_once, crate):
    """From an SAE to its activations, which are not packed, by the digest of the store."""
    entities = graph(crate)
    (action,) = (
        entity
        for entity in entities.values()
        if entity["@type"] == "CreateAction"
        and entity["result"][0]["@id"].startswith("results/toy/sae/joint/layer_1/")
    )
    read = [entities[of["@id"]] for of in action["object"]]
    (activations,) = {
        of["sha256"]
        for of in read
        if of["name"].startswith("activations: results/toy/activations/en/layer_1/part_0000")
    }
    link = built_once.folder / "results/toy/activations/en/layer_1/part_0000.zarr"
    assert activations == content_digest(link)
    assert json.loads(action["description"])["params"]["settings"]["k"] == 8 and action["endTime"].startswith(
        "20"
    )


def test_bad_asks_are_told(built_once, crate, tmp_path):
    study = Built(built_once.folder / "results/toy")
    with pytest.raises(InputError, match="not empty"):
        export_rocrate(study, crate)
    with pytest.raises(InputError, match="kinds of artifacts"):
        export_rocrate(study, tmp_path / "new", without=["activation"])


@contextlib.contextmanager
def offline(context: bytes):
    """The context of RO-Crate from memory, as nothing is fetched in tests."""

    def opened(opener, request, *args, **more):
        url = getattr(request, "full_url", request)
        assert "w3id.org/ro/crate" in url, url
        answer = addinfourl(io.BytesIO(context), {"Content-Type": "application/ld+json"}, url, 200)
        answer.msg = "OK"
        return answer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(urllib.request.OpenerDirector, "open", opened)
        yield


@pytest.mark.long
@pytest.mark.parametrize("profile", ["ro-crate-1.1", "workflow-ro-crate-1.0", "process-run-crate-0.5"])
def test_the_validator_accepts_it(crate, profile):
    """roc-validator, all that a profile requires (`pip install -e '.[validate]'`); but that it could not fetch the context."""
    validator = pytest.importorskip("rocrate_validator")
    rocrate = pytest.importorskip("rocrate")
    from rocrate_validator import models, services

    del validator
    context = (Path(rocrate.__file__).parent / "data/ro-crate.jsonld").read_text()
    # it is of a later version, which moved that word
    context = context.replace(
        "bioschemas.org/terms/ComputationalWorkflow", "bioschemas.org/ComputationalWorkflow"
    )
    settings = services.ValidationSettings(
        rocrate_uri=str(crate),
        profile_identifier=profile,
        requirement_severity=models.Severity.REQUIRED,
        skip_availability_check=True,
        no_cache=True,
    )
    with offline(context.encode()):
        issues = services.validate(settings).get_issues()
    assert {issue.check.identifier for issue in issues} <= {"ro-crate-1.1_3.1", "ro-crate-1.1_3.2"}, issues
