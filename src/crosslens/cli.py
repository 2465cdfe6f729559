"""The `crosslens` command: the store, SAEs of others, text to fetch, plans, overviews, exports. All else is a Snakemake
target."""

import argparse
import json
import logging
import sys
from pathlib import Path

from crosslens.errors import InputError
from crosslens.store import garbage, maintenance
from crosslens.store.checkouts import unregister
from crosslens.store.store import Store


def _verify(args: argparse.Namespace) -> int:
    faults = maintenance.verify(Store())
    print("\n".join(faults) or "every object is there and what its name says")
    return 1 if faults else 0


def _gc(args: argparse.Namespace) -> int:
    days = args.forget_checkouts_older
    found = garbage.find_garbage(
        Store(),
        grace_seconds=args.grace_hours * 3600,
        forget_older_seconds=None if days is None else days * 86400,
    )
    for place in [*found.forgotten, *found.places]:
        print(place)
    if not args.dry_run:
        garbage.collect_garbage(found)
    verb = "would free" if args.dry_run else "freed"
    print(f"{verb} {found.bytes / 1e6:,.1f} MB in {len(found.places)} places")
    for line in found.unreadable:
        print(line, file=sys.stderr)
    return 1 if found.unreadable else 0


def _unregister(args: argparse.Namespace) -> int:
    print(f"removed {unregister(Store(), args.path)}")
    return 0


def _forget(args: argparse.Namespace) -> int:
    for place in maintenance.forget(args.path, Store()):
        print(f"removed {place}")
    return 0


def _explain(args: argparse.Namespace) -> int:
    print(json.dumps(maintenance.explain(args.path), ensure_ascii=False, indent=1))
    return 0


def _sae_show(args: argparse.Namespace) -> int:
    # here, as `crosslens store` is to start without loading torch
    from crosslens.sae.exchange.read import read_sae

    foreign = read_sae(args.path, scaling_factor=args.scaling_factor)
    sae = foreign.sae
    rows = {
        "format": foreign.format,
        "architecture": sae.architecture + (f", k {sae.k}" if sae.architecture == "topk" else ""),
        "trained as": foreign.trained_as,
        "kind": "transcoder" if foreign.transcoder else "SAE",
        "d_in": sae.d_in,
        "d_sae": sae.d_sae,
        "d_out": sae.d_out,
        "normalisation": sae.normalize,
        "b_dec from input": "subtracted" if sae.apply_b_dec_to_input else "not subtracted",
        "skip connection": "no" if sae.W_skip is None else "yes",
        "site": foreign.site or "not said",
        "hook": foreign.hook or "not said",
        "target": foreign.target or ("not said" if foreign.transcoder else "its site"),
        "model": foreign.model or "not said",
    }
    for name, value in rows.items():
        print(f"{name:17} {value}")
    for note in foreign.notes:
        print(f"{'note':17} {note}")
    return 0


def _sae_convert(args: argparse.Namespace) -> int:
    from crosslens.sae.exchange.convert import convert_sae

    notes = convert_sae(
        args.source,
        args.folder,
        to=args.to,
        site=args.site,
        target=args.target,
        model=args.model,
        revision=args.revision,
        scaling_factor=args.scaling_factor,
    )
    print("\n".join([f"wrote {args.folder}", *(f"note: {note}" for note in notes)]))
    return 0


def _source_fetch_messages(args: argparse.Namespace) -> int:
    from crosslens.sources.fetch import fetch_messages

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    manifest = fetch_messages(args.to)
    kept = manifest["packages"]
    print(
        f"{manifest['pairs']:,} usable pairs from {len(kept)} packages in {args.to}; licences: {args.to}/*/copyright"
    )
    if manifest["missing"]:
        print(f"not to be had: {', '.join(manifest['missing'])}")
    return 0


def _overview(args: argparse.Namespace) -> int:
    from crosslens.summary.overview import write_overview

    print(write_overview(args.results, args.to))
    return 0


def _export_neuronpedia(args: argparse.Namespace) -> int:
    from crosslens.export.neuronpedia import export_neuronpedia
    from crosslens.results.study import OpenStudy

    for made in export_neuronpedia(
        OpenStudy(_folder(args.study)), args.out, saes=args.sae, creator=args.creator, url=args.url
    ):
        print(f"wrote {made}")
    return 0


def _export_rocrate(args: argparse.Namespace) -> int:
    from crosslens.export.rocrate import export_rocrate
    from crosslens.results.built import Built

    told = export_rocrate(Built(_folder(args.study)), args.out, without=args.without, licence=args.licence)
    print(f"wrote {told}")
    return 0


def _folder(study: str) -> Path:
    """results/STUDY of a study's name, or the folder that is named."""
    return Path(study) if Path(study).name != study else Path("results") / study


def _compare(args: argparse.Namespace) -> int:
    from crosslens.results.compare import compare_results, told

    found = compare_results(args.a, args.b)
    print(told(found))
    return 1 if found.differences else 0


def _plan(args: argparse.Namespace) -> int:
    from crosslens.planning.command import told

    print(told(args))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line of `crosslens`."""
    top = argparse.ArgumentParser(prog="crosslens", description=__doc__)
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    _add_store(commands)
    _add_sae(commands)
    _add_plan(commands)
    _add_source(commands)
    _add_overview(commands)
    _add_export(commands)
    compare = commands.add_parser(
        "compare", help="two builds of a study: what is the same, how far the rest is apart"
    )
    compare.add_argument("a", type=Path, metavar="A", help="results/STUDY of one")
    compare.add_argument("b", type=Path, metavar="B", help="results/STUDY of the other")
    compare.set_defaults(run=_compare)
    return top


def _add_store(commands: argparse._SubParsersAction) -> None:
    store = commands.add_parser("store", help="care for the artifact store")
    verbs = store.add_subparsers(required=True, metavar="VERB")
    verify = verbs.add_parser(
        "verify", help="compare every object's bytes with its digest, and find what is gone or damaged"
    )
    verify.set_defaults(run=_verify)
    gc = verbs.add_parser("gc", help="remove what no registered checkout links to")
    gc.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    gc.add_argument(
        "--grace-hours",
        type=float,
        default=24.0,
        help="keep what is younger than this (default: %(default)s)",
    )
    gc.add_argument(
        "--forget-checkouts-older",
        type=float,
        metavar="DAYS",
        help="take for gone what cannot be read and in which no workflow has begun for so long",
    )
    gc.set_defaults(run=_gc)
    unregister = verbs.add_parser(
        "unregister",
        help="let gc take a checkout for gone, which else keeps everything while it cannot be read",
    )
    unregister.add_argument(
        "path", type=Path, help="its results folder, or its file in the store's checkouts/"
    )
    unregister.set_defaults(run=_unregister)
    forget = verbs.add_parser("forget", help="remove one artifact, so that `snakemake PATH` makes it anew")
    forget.add_argument("path", type=Path, help="its path under results/")
    forget.set_defaults(run=_forget)
    explain = verbs.add_parser("explain", help="print how one artifact was made, as JSON")
    explain.add_argument("path", type=Path, help="its path under results/")
    explain.set_defaults(run=_explain)


def _add_plan(commands: argparse._SubParsersAction) -> None:
    plan = commands.add_parser("plan", help="print what a study will take: GB, files, memory and hours")
    plan.add_argument("study", metavar="STUDY", help="the name of a study in config/studies")
    plan.add_argument(
        "--config", type=Path, metavar="FILE", help="the model's config.json, where it is not here"
    )
    plan.add_argument("--rates", type=Path, metavar="FILE", help="measured rates, before the shipped ones")
    plan.add_argument("--samples", type=int, metavar="N", help="assume so many captions a language")
    plan.add_argument("--tokens", type=int, metavar="N", help="assume so many text tokens a sample")
    plan.add_argument("--cpu", action="store_true", help="GPU rules run on CPUs")
    plan.add_argument("--json", action="store_true", help="print one JSON object")
    plan.set_defaults(run=_plan)


def _add_sae(commands: argparse._SubParsersAction) -> None:
    sae = commands.add_parser("sae", help="read and write SAEs of other tools")
    verbs = sae.add_subparsers(required=True, metavar="VERB")
    where = "a folder, its file of weights, or hf:owner/name/folder[@revision]"
    factor = {
        "type": float,
        "metavar": "S",
        "help": "what training multiplied activations by, for expected_average_only_in without it on disk",
    }
    show = verbs.add_parser("show", help="print what an SAE is, and what its files say about it")
    show.add_argument("path", metavar="PATH", help=where)
    show.add_argument("--scaling-factor", **factor)
    show.set_defaults(run=_sae_show)
    convert = verbs.add_parser("convert", help="write an SAE of any known tool in the layout of another")
    convert.add_argument("source", metavar="FROM", help=where)
    convert.add_argument("folder", metavar="TO", type=Path, help="a folder that does not exist yet")
    convert.add_argument(
        "--to", choices=("saelens", "sparsify"), default="saelens", help="default: %(default)s"
    )
    convert.add_argument(
        "--site", metavar="S", help="what it reads, where the files do not say: 14, 14.mlp_out"
    )
    convert.add_argument("--target", metavar="S", help="what a transcoder writes, where the files do not say")
    convert.add_argument(
        "--model", metavar="M", help="the model it was trained on, if not as the files name it"
    )
    convert.add_argument("--revision", metavar="R", default="", help="that model's revision, if pinned")
    convert.add_argument("--scaling-factor", **factor)
    convert.set_defaults(run=_sae_convert)


def _add_source(commands: argparse._SubParsersAction) -> None:
    source = commands.add_parser("source", help="fetch real bilingual text")
    verbs = source.add_subparsers(required=True, metavar="VERB")
    fetch = verbs.add_parser(
        "fetch-messages",
        help="fetch English and Arabic messages of software from packages of Debian (140 MB)",
    )
    fetch.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="a new or empty folder")
    fetch.set_defaults(run=_source_fetch_messages)


def _add_overview(commands: argparse._SubParsersAction) -> None:
    overview = commands.add_parser(
        "overview", help="write the numbers of all layers of a study as one JSON file, and print their tables"
    )
    overview.add_argument("results", type=Path, metavar="FOLDER", help="results/STUDY")
    overview.add_argument("--to", required=True, type=Path, metavar="FILE", help="the JSON file")
    overview.set_defaults(run=_overview)


def _add_export(commands: argparse._SubParsersAction) -> None:
    export = commands.add_parser("export", help="write a built study in the files of other tools")
    tools = export.add_subparsers(required=True, metavar="TOOL")
    neuronpedia = tools.add_parser("neuronpedia", help="features, activations and labels as JSON lines")
    neuronpedia.add_argument(
        "study", metavar="STUDY", help="the name of a study that was built, or its folder"
    )
    neuronpedia.add_argument(
        "--out", required=True, type=Path, metavar="FOLDER", help="a new or empty folder"
    )
    neuronpedia.add_argument(
        "--sae",
        action="append",
        metavar="CORPUS/SITE",
        help="of one SAE, joint/4; may be repeated (default: all)",
    )
    neuronpedia.add_argument(
        "--creator", default="crosslens", metavar="NAME", help="whose SAEs they are (default: %(default)s)"
    )
    neuronpedia.add_argument("--url", metavar="URL", help="where more is said of them")
    neuronpedia.set_defaults(run=_export_neuronpedia)
    rocrate = tools.add_parser("rocrate", help="all results without links, and how each was made (RO-Crate)")
    rocrate.add_argument("study", metavar="STUDY", help="the name of a study that was built, or its folder")
    rocrate.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="a new or empty folder")
    rocrate.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="KIND",
        help="tell of artifacts of this kind, activations for example, and do not pack them; may be repeated",
    )
    rocrate.add_argument("--licence", default="", metavar="URL", help="of the results")
    rocrate.set_defaults(run=_export_rocrate)


def main() -> None:
    """Run the command; bad input is told in one line on stderr with exit status 2."""
    args = parser().parse_args()
    try:
        sys.exit(args.run(args))
    except InputError as error:
        print(f"crosslens: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
