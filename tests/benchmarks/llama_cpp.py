"""Outside check of converted models: tokens and next-token predictions against llama.cpp, on the same GGUF file.

`python tests/benchmarks/llama_cpp.py [--model gemma-3-270m] [--dtypes float32 bfloat16] [--json]` converts the packaged
model, and compares on English and Arabic texts, and on all of them in a row (longer than a sliding window): the ids of
every text, and at every position the most probable next token and the KL divergence of ours from llama.cpp's
distribution, over its 200 most probable tokens and the rest as one. llama.cpp rounds activations to 8 bits before each
product with quantised weights, and we do not: the distributions are close, not equal. So the same is measured again
("exact", float32) with a GGUF file of our bfloat16 weights, with which llama.cpp computes in float32 too. With `--json`
the last line of stdout is one object, {"texts", "same_tokens", "positions", "float32": {"top1", "kl", "kl_max"},
"bfloat16": {…}, "exact": {…}}, KL in nats.
"""

import argparse
import json
import logging
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from crosslens.models.gguf import convert
from crosslens.models.load import LoadedModel, load_model
from crosslens.models.packages import PACKAGED, join, packaged

log = logging.getLogger(__name__)

MOST_PROBABLE = 200
LONG_TEXT_STEP = 8
CONTEXT = 4096
TEXTS = (
    "The woman repairs the engine while her daughter holds the lamp.",
    "A man in a red jacket is feeding two horses near the old wooden fence.",
    "The nurse checks the chart and speaks quietly to the patient's family.",
    "Several children are playing football in the rain, and none of them seems to mind.",
    "Yesterday the engineer finished her report before the meeting began.",
    "Are you sure you want to remove the selected packages? This cannot be undone.",
    "The file could not be opened because another program is using it.",
    "Enter your password to unlock the key ring, then press Enter to continue.",
    "Cannot connect to the server: check the network settings and try again.",
    "Update 12 of 345 is being installed; about 7 minutes remain.",
    "woman firefighter: medium-dark skin tone",
    "family: man, woman, girl, boy",
    "man in motorized wheelchair facing right",
    "The capital of France is Paris, and the capital of Egypt is Cairo.",
    "In 1969 people walked on the moon for the first time; 50 years later none had returned.",
    "He said: “I don't think we'll make it — unless it stops snowing.”",
    "Once upon a time in a distant land there lived a king who had three daughters.",
    "    def reverse(text):\n        return text[::-1]\n",
    "Coffee ☕ and cake 🍰 at the café, 3.50 € each!",
    "The theory of relativity explains how space and time are linked.",
    "She bought bread, cheese, and olives at the market, but forgot the tomatoes.",
    "The doctor lost his keys on the way home from the hospital.",
    "تصلح المرأة المحرك بينما تحمل ابنتها المصباح.",
    "رجل يرتدي سترة حمراء يطعم حصانين قرب السياج الخشبي القديم.",
    "تراجع الممرضة الملف وتتحدث بهدوء مع عائلة المريض.",
    "يلعب عدة أطفال كرة القدم تحت المطر ولا يبدو أن أحدا منهم منزعج.",
    "أنهت المهندسة تقريرها أمس قبل أن يبدأ الاجتماع.",
    "هل أنت متأكد من أنك تريد إزالة الحزم المحددة؟ لا يمكن التراجع عن هذا.",
    "تعذر فتح الملف لأن برنامجا آخر يستخدمه.",
    "أدخل كلمة السر لفتح حلقة المفاتيح، ثم اضغط مفتاح الإدخال للمتابعة.",
    "لا يمكن الاتصال بالخادوم: تحقق من إعدادات الشبكة وحاول مرة أخرى.",
    "يجري تثبيت التحديث ١٢ من ٣٤٥، وتبقى حوالي ٧ دقائق.",
    "امرأة إطفائية ببشرة متوسطة السمرة",
    "عائلة: رجل وامرأة وبنت وولد",
    "رجل على كرسي متحرك كهربائي متجه إلى اليمين",
    "عاصمة فرنسا هي باريس، وعاصمة مصر هي القاهرة.",
    "في عام 1969 مشى الناس على القمر لأول مرة، وبعد 50 عاما لم يعد إليه أحد.",
    "قال: «لا أظن أننا سنصل إلا إذا توقف الثلج».",
    "كان يا ما كان في بلاد بعيدة ملك له ثلاث بنات.",
    "السَّلامُ عَلَيْكُمْ وَرَحْمَةُ اللهِ وَبَرَكاتُهُ",
    "قهوة ☕ وكعك 🍰 في المقهى، ثمن كل منهما ٣٫٥٠ €!",
    "تشرح النظرية النسبية كيف يرتبط المكان بالزمان.",
    "اشترت خبزا وجبنا وزيتونا من السوق، لكنها نسيت الطماطم.",
    "أضاع الطبيب مفاتيحه في طريق عودته من المستشفى إلى البيت.",
)


class LlamaCpp:
    """llama.cpp with one GGUF file, on one thread."""

    def __init__(self, file: Path):
        import xllamacpp

        params = xllamacpp.CommonParams()
        params.model.path = str(file)
        params.n_ctx = CONTEXT
        params.n_parallel = 1
        params.swa_full = True  # or each longer prefix would be computed from its start
        params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
        params.warmup = False
        params.verbosity = 0
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
        self.server = xllamacpp.Server(params)
        self.letter = self.tokenize("a")[-1]

    def _ask(self, path: str, question: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self.server.listening_address + path,
            data=json.dumps(question).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def tokenize(self, text: str) -> list[int]:
        """Ids, with BOS where the file says so; no text is read as a special token."""
        question = {"content": text, "add_special": True, "parse_special": False}
        return self._ask("/tokenize", question)["tokens"]

    def next_token(self, ids: list[int]) -> tuple[list[int], list[float]]:
        """The most probable next tokens after `ids`, and their log-probabilities (before any sampling)."""
        question = {
            "prompt": ids,
            "n_predict": 1,
            "n_probs": MOST_PROBABLE,
            "cache_prompt": True,
            # Nothing is told of a piece of a character: a letter is drawn whatever the probabilities say.
            "temperature": 0,
            "logit_bias": [[self.letter, 1000]],
        }
        (found,) = self._ask("/completion", question)["completion_probabilities"]
        return [entry["id"] for entry in found["top_logprobs"]], [e["logprob"] for e in found["top_logprobs"]]


def dequantised(file: Path, out: Path) -> None:
    """Write the GGUF file with its quantised tensors as float32, of the values that bfloat16 leaves them."""
    from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, dequantize

    reader = GGUFReader(file)
    writer = GGUFWriter(out, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if not name.startswith("GGUF.") and name != "general.architecture":
            inner = field.types[-1] if field.types[0] == GGUFValueType.ARRAY else None
            writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
    for tensor in reader.tensors:
        values = torch.tensor(dequantize(tensor.data, tensor.tensor_type))
        if tensor.tensor_type != GGMLQuantizationType.F32:
            values = values.bfloat16().float()
        writer.add_tensor(tensor.name, values.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def positions(ids: list[int]) -> list[int]:
    """Lengths of the prefixes of `ids` that are compared: all, and of a long text one in eight."""
    return list(range(1, len(ids), 1 if len(ids) < 256 else LONG_TEXT_STEP))


def coarse_kl(top: list[int], logprobs: list[float], ours: torch.Tensor) -> float:
    """KL(theirs ‖ ours) in nats, where all tokens outside `top` are one; ours: log-probabilities (vocabulary,)."""
    p = torch.tensor(logprobs, dtype=torch.float64).exp()
    q = ours.double()[top].exp()
    p = torch.cat([p, (1 - p.sum()).clamp_min(1e-12)[None]])
    q = torch.cat([q, (1 - q.sum()).clamp_min(1e-12)[None]])
    return float((p * (p / q).log()).sum())


@torch.inference_mode()
def compare(loaded: LoadedModel, texts: Sequence[list[int]], theirs: Sequence[list[Any]]) -> dict[str, float]:
    """Share of equal most probable tokens, and mean and greatest KL, over all compared positions."""
    same, divergences = [], []
    for ids, answers in zip(texts, theirs, strict=True):
        logits = loaded.model(torch.tensor([ids], device=loaded.device), use_cache=False).logits[0]
        for length, (top, logprobs) in zip(positions(ids), answers, strict=True):
            ours = logits[length - 1].float().log_softmax(-1)
            same.append(int(ours.argmax()) == top[0])
            divergences.append(coarse_kl(top, logprobs, ours))
    return {
        "top1": sum(same) / len(same),
        "kl": sum(divergences) / len(divergences),
        "kl_max": max(divergences),
    }


def measure(file: Path, folder: Path, dtypes: Sequence[str], texts: Sequence[str] = TEXTS) -> dict[str, Any]:
    """What `--json` prints, but for "exact": a GGUF file against the folder of the converted model."""
    reference = LlamaCpp(file)
    texts = [*texts, "\n".join(texts)]
    ids = [reference.tokenize(text) for text in texts]
    log.info("%d texts, the longest of %d tokens", len(texts), max(map(len, ids)))
    answers = [[reference.next_token(text[:length]) for length in positions(text)] for text in ids]
    found: dict[str, Any] = {"texts": len(texts), "positions": sum(map(len, answers))}
    for dtype in dtypes:
        loaded = load_model(str(folder), dtype=dtype, device="cpu")
        found["same_tokens"] = sum(
            loaded.tokenizer(text).input_ids == theirs for text, theirs in zip(texts, ids, strict=True)
        )
        found[dtype] = compare(loaded, ids, answers)
        log.info("%s: %s", dtype, found[dtype])
    return found


def measure_packaged(name: str, dtypes: Sequence[str], scratch: Path) -> dict[str, Any]:
    """What `--json` prints. Needs some 1.5 GB in `scratch`."""
    file, exact, folder = scratch / "model.gguf", scratch / "exact.gguf", scratch / name
    join(packaged(name), file)
    convert(file, folder)
    dequantised(file, exact)
    return {**measure(file, folder, dtypes), "exact": measure(exact, folder, ["float32"])["float32"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="gemma-3-270m", choices=PACKAGED)
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with tempfile.TemporaryDirectory() as scratch:
        found = measure_packaged(options.model, options.dtypes, Path(scratch))
    if options.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
