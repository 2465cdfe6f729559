"""The caption study at its real widths, with few layers: does it run, what does it take, what does bfloat16 cost?

`python tests/benchmarks/caption_study.py [--samples N] [--layers 2] [--vision-layers 1] [--real FOLDER] [--json]`

A seeded random Gemma3ForConditionalGeneration of the exact class and widths of gemma-3-4b-it (text d_model 2560, MLP
10240, 8 heads over 4 of 256; SigLIP 1152 wide at 896 pixels in patches of 14; 256 tokens a picture), in bfloat16. What
is cut: the number of layers of both towers, and the vocabulary, which extraction only looks up. It reads drawn pictures
and captions in both languages through the real `extract`, and SAEs of 2560 -> 20480 train on what that stored through
the real `train_saes`. Random activations compress worse than real ones, so the share that storage takes is measured on
`--real`, a folder with a model (the embedded one by default), and so is what bfloat16 storage does to an SAE.

Needs about 8 GB. With `--json` the last line is one JSON object. `--write-rates FILE` puts the measured rates into a
file that `crosslens plan --rates FILE` reads, in the place of those of this device that are there.
"""

import argparse
import datetime
import itertools
import json
import logging
import platform
import random
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from scipy.sparse import csr_array
from transformers import AutoConfig, Gemma3Config, Gemma3ForConditionalGeneration, Gemma3Processor
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil

from crosslens.activations.extract import extract
from crosslens.generation.decode import decode
from crosslens.memory import memory_kept
from crosslens.models.inputs import build_inputs
from crosslens.models.load import choose_device, load_model
from crosslens.planning.outline import Outline
from crosslens.planning.rates import Rate
from crosslens.planted.captions import draw_caption
from crosslens.planted.drawing import draw
from crosslens.planted.scenes import LANGUAGES, bias_table
from crosslens.planted.source import source_scene
from crosslens.sae.settings import Settings
from crosslens.sae.step import fresh_state, normalisations, train_step
from crosslens.sae.training import train_saes
from crosslens.tables.activations import Activations, create_activations, pack, unpack
from crosslens.tables.codes import write_codes
from crosslens.tables.documents import read_json, write_json, write_table
from crosslens.tables.tokens import read_tokens

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
sys.path.insert(0, str(Path(__file__).parent))
from extraction import measure, peak_mb
from tiny import CHAT_TEMPLATE, tiny_tokenizer

ROOT = Path(__file__).parents[2]
SIZES = ROOT / "resources/architectures/google--gemma-3-4b-it.json"
PROMPTS = {"en": "Describe the person in this image in detail.", "ar": "صف الشخص في هذه الصورة بالتفصيل."}
D_SAE, K = 20480, 32
STUDY = {"samples": 2000, "sites": 8, "d_model": 2560, "positions": 278, "image_tokens": 256}
"""The original: pairs, sites, width, positions of a prompt, and those of a picture."""
log = logging.getLogger("caption_study")


def save_wide_vlm(folder: Path, layers: int, vision_layers: int, device: torch.device) -> Path:
    """The model of the module's docstring, with its processor; made on `device`, which decides its random numbers."""
    tokenizer = tiny_tokenizer()
    sizes = json.loads(SIZES.read_text())
    sizes["text_config"] |= {"num_hidden_layers": layers, "vocab_size": len(tokenizer)}
    sizes["vision_config"] |= {"num_hidden_layers": vision_layers}
    sizes |= {
        "boi_token_index": tokenizer.boi_token_id,
        "eoi_token_index": tokenizer.eoi_token_id,
        "image_token_index": tokenizer.image_token_id,
    }
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.random.fork_rng(), device:
            torch.manual_seed(0)
            model = Gemma3ForConditionalGeneration(Gemma3Config(**sizes))
    finally:
        torch.set_default_dtype(before)
    model.save_pretrained(folder)
    pictures = Gemma3ImageProcessorPil(
        size={"height": 896, "width": 896}, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_pan_and_scan=False
    )
    Gemma3Processor(
        image_processor=pictures,
        tokenizer=tokenizer,
        chat_template=CHAT_TEMPLATE,
        image_seq_length=sizes["mm_tokens_per_image"],
    ).save_pretrained(folder)
    return folder


def save_picture(index: int, folder: Path) -> None:
    """The picture of a sample: as large as those of captioned photographs are."""
    picture = draw(source_scene(index, seed=0)).resize((500, 375), Image.Resampling.BICUBIC)
    picture.save(folder / f"{index:04d}.jpg", quality=90)


def save_study(folder: Path, samples: int) -> dict[str, Path]:
    """Drawn pictures, and a dataset table a language."""
    (folder / "images").mkdir(parents=True)
    texts: dict[str, list[str]] = {language: [] for language in LANGUAGES}
    bias = bias_table(control=False)
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        list(pool.map(save_picture, range(samples), itertools.repeat(folder / "images"), chunksize=16))
    for index in range(samples):
        scene = source_scene(index, seed=0)
        rng = random.Random(index)
        for language in LANGUAGES:
            texts[language].append(draw_caption(scene, language, bias, rng).text)
    paths = {}
    for language in LANGUAGES:
        table = pd.DataFrame(
            {
                "sample_id": [f"{i:04d}#0" for i in range(samples)],
                "row": range(1, samples + 1),
                "caption": texts[language],
                "prompt": PROMPTS[language],
                "image": [f"{i:04d}.jpg" for i in range(samples)],
                "image_sha256": "",
                "split": "train",
            }
        )
        paths[language] = folder / f"{language}.parquet"
        write_table(paths[language], "dataset", table)
    return paths


def size_of(folder: Path) -> tuple[int, int]:
    """Bytes and files below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return sum(path.stat().st_size for path in files), len(files)


def measure_extraction(folder: Path, args: argparse.Namespace) -> tuple[dict[str, Any], dict[str, dict]]:
    """Both languages through `extract`, all layers at once: speed, bytes, memory. And the paths of what it stored."""
    device = choose_device(args.device)
    model = save_wide_vlm(folder / "model", args.layers, args.vision_layers, device)
    datasets = save_study(folder, args.samples)
    # one model is loaded at a time: what it holds while it is saved counts for nobody
    settings = {"id": str(model), "dtype": "bfloat16", "device": args.device, "attention": "sdpa"}
    seconds, paths = [], {}
    before = peak_mb()
    for language, dataset in datasets.items():
        sites = {str(layer): folder / language / f"{layer}.zarr" for layer in range(args.layers)}
        tokens = folder / language / "tokens.zarr"
        tokens.parent.mkdir()
        start = time.perf_counter()
        extract(
            dataset=dataset,
            images=folder / "images",
            rows=(1, args.samples),
            model=settings,
            sites=sites,
            tokens=tokens,
            batch_tokens=args.batch_tokens,
            shard_bytes=256 << 20,
            language=language,
        )
        seconds.append(time.perf_counter() - start)
        paths[language] = {"dataset": dataset, "tokens": tokens, "sites": sites}
    # once more without loading and planning, beside the bare forward pass
    speed = measure(
        model,
        datasets["en"],
        folder / "images",
        samples=args.timed_samples or args.samples,
        repeats=args.repeats,
        dtype="bfloat16",
        attention="sdpa",
        batch_tokens=args.batch_tokens,
        shard_mb=256,
    )
    shape = Outline(str(model), AutoConfig.from_pretrained(model), str(model), "")
    flop = shape.text_flops(speed["tokens_a_sample"], args.layers) + shape.image_flops()
    rows = {language: len(read_tokens(found["tokens"])) for language, found in paths.items()}
    stored, files = zip(*(size_of(path) for path in paths["en"]["sites"].values()), strict=True)
    return {
        "positions": speed["tokens_a_sample"],
        "rows_a_sample": {language: count / args.samples for language, count in rows.items()},
        "seconds_with_loading": seconds,
        **{name: speed[name] for name in ("samples_per_s", "forward_samples_per_s", "ratio_of_forward")},
        "flops": flop * speed["samples_per_s"],
        "flop_a_sample": flop,
        "bytes_per_value_random": stored[0] / (rows["en"] * 2560),
        "files_a_site": files[0],
        "peak_mb_over_start": peak_mb() - before,
        "model_mb": 2 * shape.parameters / 1e6,
    }, paths


def measure_generation(folder: Path, args: argparse.Namespace) -> dict[str, float]:
    """Tokens a second of captions sampled as a study's stereotypes ask for, eight of a picture and 64 at a time."""
    loaded = load_model(str(folder / "model"), dtype="bfloat16", device=args.device, attention="sdpa")
    rows = pd.read_parquet(folder / "en.parquet").head(min(8, args.samples)).to_dict("records")
    prompts = build_inputs(loaded, rows, images=folder / "images", with_caption=False)
    uniforms = torch.from_numpy(np.random.default_rng(0).random((8 * len(rows), args.new_tokens)))
    start = time.perf_counter()
    texts = decode(loaded, prompts, uniforms, draws=8, temperature=1.0, ends=[])
    seconds = time.perf_counter() - start
    tokens = sum(map(len, texts)) / seconds
    parameters = sum(p.numel() for p in loaded.model.parameters())
    return {"generated_tokens_per_s": tokens, "generation": tokens * parameters}


def measure_training(folder: Path, paths: dict[str, dict], args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of an SAE step at 2560 -> 20480, and a whole short training through `train_saes`."""
    site = str(args.layers - 1)
    identity = {
        "corpus": "joint",
        "site": site,
        "seed": "0",
        "model": "model",
        "revision": "",
    }
    settings = {"k": K, "d_sae": D_SAE, "batch_tokens": 256, "train_tokens": 512}
    out = folder / "sae" / "out"
    out.parent.mkdir()
    start = time.perf_counter()
    train_saes(
        datasets={language: found["dataset"] for language, found in paths.items()},
        tokens={language: [found["tokens"]] for language, found in paths.items()},
        activations={language: [found["sites"][site]] for language, found in paths.items()},
        saes=[{"identity": identity, "settings": settings, "languages": list(paths), "out": out}],
        device=args.device,
    )
    whole = time.perf_counter() - start
    stored = [Activations(found["sites"][site]) for found in paths.values()]
    rows = np.concatenate([one.read(0, len(one)) for one in stored])
    device = choose_device(args.device)
    index = np.random.default_rng(0).integers(0, len(rows), args.batch)
    x = torch.from_numpy(rows[index]).to(device)
    config = Settings(k=K, d_sae=D_SAE, batch_tokens=args.batch).resolve(
        d_model=2560, tokens=args.batch * 1000
    )
    state = fresh_state(config, *normalisations(x, 2560), seed=0)
    seconds = []
    with memory_kept():
        for _ in range(args.steps + 1):
            start = time.perf_counter()
            train_step(state, x, steps=1000).total.item()
            seconds.append(time.perf_counter() - start)
    sae = state.exported()
    start = time.perf_counter()
    with torch.no_grad():
        sae.encode(x)
    if device.type == "cuda":
        torch.cuda.synchronize()
    encoding = time.perf_counter() - start
    step = statistics.median(seconds[1:])
    return {
        "training_of_2_steps_s": whole,
        "sae_mb": size_of(out)[0] / 1e6,
        "sae_step_s": step,
        "sae_step_tokens": args.batch,
        "sae_products_per_s": args.batch * 2560 * D_SAE / step,
        "encoding_products_per_s": args.batch * 2560 * D_SAE / encoding,
    }


def measure_storage(folder: Path, model: Path, args: argparse.Namespace) -> dict[str, Any]:
    """On a real model's activations: the share that storage takes, and what bfloat16 storage does to an SAE."""
    study = save_study(folder / "real", args.real_samples)
    loaded = load_model(str(model), device="cpu")
    vision = loaded.adapter.is_vision
    if not vision:
        for path in study.values():
            table = pd.read_parquet(path)
            write_table(path, "dataset", table.assign(image=""))
    middle = str(loaded.n_layers // 2)
    shares: dict[str, list[float]] = {"bfloat16": [], "float32": []}
    values: dict[str, list[np.ndarray]] = {"bfloat16": [], "float32": []}
    columns: list[float] = []
    for language, dataset in study.items():
        for dtype in values:
            place = folder / "real" / dtype / language
            place.mkdir(parents=True)
            sites = {str(layer): place / f"{layer}.zarr" for layer in range(loaded.n_layers)}
            extract(
                dataset=dataset,
                images=folder / "real/images" if vision else None,
                rows=(1, args.real_samples),
                model={"id": str(model), "device": "cpu"},
                sites=sites,
                tokens=place / "tokens.zarr",
                batch_tokens=4096,
                shard_bytes=256 << 20,
                language=language,
                dtype=dtype,
            )
            rows = len(read_tokens(place / "tokens.zarr"))
            columns.append(size_of(place / "tokens.zarr")[0] / (21 * rows))
            shares[dtype] += [share_stored(path, place / f"{site}_once.zarr") for site, path in sites.items()]
            opened = Activations(sites[middle])
            values[dtype].append(opened.read(0, len(opened)))
    exact, rounded = (np.concatenate(values[dtype]) for dtype in ("float32", "bfloat16"))
    assert np.array_equal(rounded, unpack(pack(exact, "bfloat16")))
    error = np.linalg.norm(rounded - exact, axis=1) / np.linalg.norm(exact, axis=1)
    ev = {dtype: explained(np.concatenate(values[dtype]), exact) for dtype in values}
    return {
        "real_model": model.name,
        "real_rows": len(exact),
        "stored_share_bfloat16": float(np.mean(shares["bfloat16"])),
        "stored_share_float32": float(np.mean(shares["float32"])),
        "stored_share_columns": float(np.mean(columns)),
        "relative_error_median": float(np.median(error)),
        "relative_error_max": float(error.max()),
        "ev_float32": ev["float32"],
        "ev_bfloat16": ev["bfloat16"],
        "ev_lost": ev["float32"] - ev["bfloat16"],
        "fvu_of_rounding": float(((rounded - exact) ** 2).sum() / ((exact - exact.mean(0)) ** 2).sum()),
    }


def share_stored(path: Path, out: Path) -> float:
    """Bytes on disk of the distinct rows at `path`, stored anew at `out`, over their raw bytes.

    Samples that begin with the same text have the same rows there where no picture stands before it; those compress to
    nothing, which rows behind a picture do not.
    """
    found = Activations(path)
    stored = found.read_stored(0, len(found))
    stored = stored[np.sort(np.unique(stored, axis=0, return_index=True)[1])]
    group = create_activations(
        out, d_model=found.d_model, dtype=found.dtype, shard_bytes=256 << 20, rows=len(stored)
    )
    group["values"][:] = stored
    return size_of(out / "values")[0] / stored.nbytes


def explained(stored: np.ndarray, exact: np.ndarray) -> float:
    """EV on held-out rows of `exact` of an SAE that trained on the same other rows of `stored`."""
    order = np.random.default_rng(0).permutation(len(stored))
    test, train = order[: len(order) // 5], torch.from_numpy(stored[order[len(order) // 5 :]])
    steps, batch = 400, 512
    config = Settings(k=16, expansion=8, batch_tokens=batch).resolve(
        d_model=exact.shape[1], tokens=steps * batch
    )
    state = fresh_state(config, *normalisations(train, exact.shape[1]), seed=0)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        train_step(state, train[torch.randint(0, len(train), (batch,), generator=generator)], steps=steps)
    x = torch.from_numpy(exact[test]).double()
    with torch.no_grad():
        found = state.exported()(x.float()).double()
    return float(1 - ((x - found) ** 2).sum() / ((x - x.mean(0)) ** 2).sum())


def measure_codes(folder: Path) -> float:
    """The share that codes of 32 of 20,480 features a token take of 8 bytes an entry; frequencies fall as 1/rank."""
    generator = np.random.default_rng(0)
    rows = 4000
    p = 1 / np.arange(1, D_SAE + 1)
    columns = np.sort(
        np.stack([generator.choice(D_SAE, K, replace=False, p=p / p.sum()) for _ in range(rows)]), axis=1
    )
    values = generator.gamma(2.0, 1.0, rows * K).astype(np.float32)
    codes = csr_array((values, columns.ravel(), np.arange(0, rows * K + 1, K)), shape=(rows, D_SAE))
    write_codes(folder / "codes.zarr", [codes], token=np.arange(rows), norm=np.ones(rows), d_sae=D_SAE)
    return size_of(folder / "codes.zarr")[0] / (8 * rows * K)


def device_name(args: argparse.Namespace) -> str:
    """What rates say they were measured on."""
    if torch.cuda.is_available() and args.device != "cpu":
        return f"gpu: {torch.cuda.get_device_name()}"
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.is_file()
        else []
    )
    return f"cpu: {names[0] if names else platform.processor()}, {torch.get_num_threads()} threads"


def rates_of(found: dict[str, Any], args: argparse.Namespace) -> list[Rate]:
    """The measured numbers as `crosslens plan` reads them."""
    device = device_name(args)
    day = datetime.datetime.now(datetime.UTC).date().isoformat()
    basis = f"measured on {day}, tests/benchmarks/caption_study.py"
    wide, real = f"{basis}, widths of gemma-3-4b-it", f"{basis}, activations of {found['real_model']}"
    return [
        Rate(device, "forward", found["flops"], "FLOP/s", wide),
        Rate(device, "sae_training", found["sae_products_per_s"], "tokens × d_model × d_sae / s", wide),
        Rate(device, "encoding", found["encoding_products_per_s"], "tokens × d_model × d_sae / s", wide),
        Rate(device, "generation", found["generation"], "tokens × parameters / s", wide),
        Rate("any", "stored_share/bfloat16", found["stored_share_bfloat16"], "of 2 bytes a value", real),
        Rate("any", "stored_share/float32", found["stored_share_float32"], "of 4 bytes a value", real),
        Rate("any", "stored_share/columns", found["stored_share_columns"], "of 21 bytes a token", real),
        Rate(
            "any",
            "stored_share/codes",
            found["stored_share_codes"],
            "of 8 bytes an entry",
            f"{basis}, drawn codes",
        ),
    ]


def write_rates(path: Path, rates: list[Rate]) -> None:
    """Put `rates` into the file at `path`, in the place of those of the same device and name."""
    known = [Rate(**entry) for entry in read_json(path, "rates")["rates"]] if path.is_file() else []
    new = {(rate.device, rate.what) for rate in rates}
    kept = [rate for rate in known if (rate.device, rate.what) not in new]
    write_json(path, "rates", {"rates": [rate._asdict() for rate in [*rates, *kept]]})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--samples", type=int, default=16, help="pairs of the wide model")
    parser.add_argument("--layers", type=int, default=2, help="text blocks")
    parser.add_argument("--vision-layers", type=int, default=1)
    parser.add_argument("--batch-tokens", type=int, default=1200)
    parser.add_argument("--timed-samples", type=int, help="of them, for the rates; default: all")
    parser.add_argument("--repeats", type=int, default=1, help="of the timed extraction")
    parser.add_argument("--new-tokens", type=int, default=16, help="of a generated caption")
    parser.add_argument("--batch", type=int, default=2048, help="tokens of an SAE step")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument(
        "--real", type=Path, default=ROOT / "resources/planted", help="a model whose storage is measured"
    )
    parser.add_argument("--real-samples", type=int, default=300)
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "cpu"))
    parser.add_argument("--write-rates", type=Path, metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found, paths = measure_extraction(folder, args)
        found |= measure_generation(folder, args)
        shutil.rmtree(folder / "model")
        found |= measure_training(folder, paths, args)
        found |= measure_storage(folder, args.real, args)
        found["stored_share_codes"] = measure_codes(folder)
    share = found["stored_share_bfloat16"]
    values = STUDY["samples"] * STUDY["sites"] * STUDY["d_model"]
    found |= {
        "device": device_name(args),
        "peak_mb": peak_mb(),
        "gpu_peak_mb": torch.cuda.max_memory_allocated() / 1e6 if torch.cuda.is_available() else 0.0,
        "original_gb_both_languages": 2 * values * STUDY["positions"] * 4 / 1e9,
        "study_gb_a_language": values * (STUDY["positions"] - STUDY["image_tokens"]) * 2 * share / 1e9,
        "study_gb_a_language_all_roles": values * STUDY["positions"] * 2 * share / 1e9,
    }
    if args.write_rates:
        write_rates(args.write_rates, rates_of(found, args))
    if args.json:
        sys.stdout.write(json.dumps(found) + "\n")
    else:
        for key, value in found.items():
            log.info("%s: %s", key, f"{value:.4g}" if isinstance(value, float) else value)


if __name__ == "__main__":
    main()
