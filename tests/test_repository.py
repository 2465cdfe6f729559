"""The shape of the repository: what a reader may rely on without reading all of it."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "crosslens"

FIRST = ("draw_source", "collect_source", "collect_mt_geneval", "prepare_model", "adopt_sae")
"""Rules that read nothing of the workflow's."""
# Low to high: a module imports only from its own package and from layers below it; packages side by side do not.
LAYERS = [
    {"errors", "warm"},
    {"questions", "registry"},
    {"devices", "paths", "pictures", "progress", "tables", "store", "memory", "stats"},
    {"data", "models"},
    {"generation", "sources", "pooling"},
    {"planted", "activations"},
    {"sae"},
    {"features", "study"},
    {"gender", "alignment", "geometry", "descriptions", "artifacts"},
    {"lens"},
    {"interventions"},
    {"summary"},
    {"figures"},
    {"tokens"},
    {"results"},
    {"report", "explorer", "export"},
    {"certificate"},
    {"planning"},
    {"cli"},
]


def tracked() -> list[Path]:
    """Files that git tracks or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [file for file in files if file.is_file() and not file.is_symlink()]


def texts(*suffixes: str) -> list[tuple[Path, str]]:
    """Tracked text files of these suffixes (all if none is named) and what is in them."""
    found = []
    for file in tracked():
        if not suffixes or file.suffix in suffixes:
            try:
                found.append((file.relative_to(ROOT), file.read_text(encoding="utf-8")))
            except UnicodeDecodeError:
                continue
    return found


def rules() -> dict[str, str]:
    """Rule or `use rule … as` name to its text."""
    found = {}
    for file in [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]:
        text = file.read_text(encoding="utf-8")
        for block in re.split(r"^(?=rule |use rule )", text, flags=re.MULTILINE)[1:]:
            name = re.match(r"rule (\w+):|use rule \w+ as (\w+) with:", block)
            lines = block.splitlines()
            end = next(
                (i for i, line in enumerate(lines[1:], 1) if line and not line.startswith((" ", "#"))),
                len(lines),
            )
            found[name[1] or name[2]] = "\n".join(lines[:end])
    return found


RULES = rules()
WORK = {name: text for name, text in RULES.items() if "script:" in text}


def test_the_pins_of_the_environments_are_those_of_the_project():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = {*project["dependencies"], *project["optional-dependencies"]["gemma"]}
    environments, found = sorted((ROOT / "envs").glob("*.yaml")), set()
    assert environments
    for file in environments:
        (pip,) = [
            entry["pip"]
            for entry in yaml.safe_load(file.read_text())["dependencies"]
            if isinstance(entry, dict)
        ]
        assert set(pip) <= pins, f"{file.name}: {sorted(set(pip) - pins)}"
        found |= set(pip)
    left = {*project["dependencies"]} - found
    assert all("executor-plugin" in pin for pin in left), f"in no environment: {sorted(left)}"


def test_containers_are_built_on_one_base_by_one_script_from_the_project():
    docker, apptainer = ((ROOT / "envs" / name).read_text() for name in ("Dockerfile", "crosslens.def"))
    (base,), (same,) = re.findall(r"^FROM (.*)", docker, re.M), re.findall(r"^From: (.*)", apptainer, re.M)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    version = re.fullmatch(r"python:(3\.\d+)-slim-\w+", base)[1]
    assert base == same and project["requires-python"] == f">={version}"
    for text in (docker, apptainer):
        assert "sh envs/container.sh" in text
        for name in re.findall(r"^(?:COPY|   ) (.*) /crosslens/", text, re.M):
            assert all((ROOT / file).exists() for file in name.split()), name
    assert "pip install --no-cache-dir .\n" in (ROOT / "envs/container.sh").read_text()


def test_the_environment_that_prepares_models_can_read_gguf_files():
    assert "envs/torch.yaml" in RULES["prepare_model"]
    assert "gguf" in (ROOT / "envs/torch.yaml").read_text()


def test_rules_of_the_small_environment_do_without_torch():
    stages = {
        name: re.findall(
            r"^from (crosslens[\w.]+) import",
            (ROOT / f"workflow/scripts/{name}.py").read_text(),
            re.MULTILINE,
        )
        for name, text in WORK.items()
        if "envs/torch.yaml" not in text
    }
    modules = sorted({module for found in stages.values() for module in found})
    code = "\n".join(
        [
            "import sys",
            *(f"import {module}\nassert 'torch' not in sys.modules, {module!r}" for module in modules),
        ]
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_every_rule_says_what_it_does_and_keeps_a_log():
    for name, text in RULES.items():
        assert "message:" in text or text.startswith("use rule"), name
        if "script:" in text or "params:" in text:
            assert "log:" in text, name


def test_every_work_rule_is_complete():
    parts = "input: output: log: conda: threads: resources: mem_mb= runtime= params: message:".split()
    for name, text in WORK.items():
        lacking = {part for part in parts if part not in text} - ({"input:"} if name in FIRST else set())
        assert not lacking, f"rule {name} has no {lacking}"
        assert f"workflow/scripts/{name}.py" in text, f"the script of rule {name} has another name"
        for asked in ("megabytes", "minutes"):
            assert f'{asked}("{name}")' in text, f"rule {name}: {asked} do not grow with `attempt`"


def test_every_script_has_its_rule():
    scripts = {file.stem for file in (ROOT / "workflow/scripts").glob("*.py")}
    assert scripts - {"link", "link_pages"} == WORK.keys()


def test_a_script_only_binds_a_rule_to_its_functions():
    """One; or one for each kind that its jobs make one by one (tests/artifacts/test_table.py holds them to the kinds)."""
    for script in sorted((ROOT / "workflow/scripts").glob("*.py")):
        if script.stem in ("link", "link_pages"):
            continue
        tree = ast.parse(script.read_text(encoding="utf-8"))
        modules = [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
        ours = [module for module in modules if module.startswith("crosslens.")]
        assert set(modules) - set(ours) <= {"pathlib", "json"}, script.name
        stages = [module for module in ours if not module.startswith("crosslens.store")]
        assert len(stages) == 1 or ".each(" in ast.unparse(tree), f"{script.name} calls {stages}"


def _module(file: Path) -> str:
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def nodes(file: Path) -> list[ast.AST]:
    """All that is in the syntax tree of a file: several tests look through every one."""
    return [*ast.walk(ast.parse(file.read_text(encoding="utf-8")))]


@cache
def imports(file: Path) -> frozenset[str]:
    """Modules of crosslens that a file imports, within functions too."""
    found = set()
    for node in nodes(file):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: imports are absolute here"
            found.add(node.module)
            found |= {
                f"{node.module}.{alias.name}"
                for alias in node.names
                if _is_module(f"{node.module}.{alias.name}")
            }
    return frozenset(name for name in found if name.split(".")[0] == "crosslens")


def _is_module(name: str) -> bool:
    base = SOURCE.parent.joinpath(*name.split("."))
    return base.with_suffix(".py").is_file() or (base / "__init__.py").is_file()


def test_the_library_is_layered():
    rank = {name: level for level, names in enumerate(LAYERS) for name in names}
    packages = {path.stem for path in SOURCE.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert packages - {"__init__", "__pycache__"} <= rank.keys(), "name the new package's layer here"
    for file in sorted(SOURCE.rglob("*.py")):
        own = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        for name in imports(file):
            other = (name.split(".") + [""])[1]
            if other not in ("", own) and own != "__init__":
                assert rank[other] < rank[own], f"{_module(file)} imports {name} from no layer below"


def test_no_module_imports_itself_in_a_circle():
    graph = {
        _module(file): {name for name in imports(file) if _is_module(name)} for file in SOURCE.rglob("*.py")
    }
    for module, names in graph.items():
        names.discard(module)
        names -= {".".join(module.split(".")[:i]) for i in range(1, module.count(".") + 1)}
    tuple(TopologicalSorter(graph).static_order())


def test_the_library_knows_nothing_of_snakemake():
    for file in SOURCE.rglob("*.py"):
        for node in nodes(file):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            assert not [name for name in names if name.split(".")[0].startswith("snakemake")], file


def test_no_text_names_a_place_of_one_machine():
    # put together here, so that this file does not name them itself
    places = re.compile(
        "|".join(re.escape(f"/{name}") + r"\b" for name in ("work/", "root/", "home/", "opt/pypi"))
    )
    for file, text in texts():
        for number, line in enumerate(text.splitlines(), 1):
            assert not places.search(line), f"{file}:{number}: {line[:120]}"


def test_no_pickles():
    names = "|".join(
        ["pick" + "le", "job" + "lib", "dill", "weights_only=" + "False", "allow_pick" + "le=True"]
    )
    for file, text in texts(".py", ".smk", ""):
        found = re.search(
            rf"^\s*(import|from) ({names})\b|({names})[.(]|weights_only=" + "False", text, re.MULTILINE
        )
        assert not found, f"{file}: {found[0]!r}"


def test_no_file_is_large():
    for file in tracked():
        assert file.stat().st_size < 5_000_000, f"{file}: {file.stat().st_size / 1e6:.1f} MB"


def test_no_output_is_printed_by_the_library():
    for file in SOURCE.rglob("*.py"):
        if file.name in ("cli.py", "__main__.py"):
            continue
        calls = [node for node in nodes(file) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"], (
            file
        )


@pytest.mark.parametrize(
    "command",
    [
        ["ruff", "format", "--check", "."],
        ["ruff", "check", "."],
        ["snakefmt", "--check", "Snakefile", "rules"],
    ],
    ids=" ".join,
)
def test_the_code_is_formatted_and_clean(command):
    program = Path(sys.executable).with_name(command[0])
    if not program.exists():
        pytest.skip(f"{command[0]} is not installed")
    ended = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_what_the_inner_loop_leaves_out_is_there():
    """The names of files and tests in tests/conftest.py."""
    tree = ast.parse((ROOT / "tests/conftest.py").read_text(encoding="utf-8"))
    (named,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TAKE_SECONDS"
    )
    files = list((ROOT / "tests").rglob("test_*.py"))
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert named <= {file.stem for file in files} | {*re.findall(r"^def (test_\w+)", text, re.MULTILINE)}
