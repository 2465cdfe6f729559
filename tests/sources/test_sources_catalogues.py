"""Message catalogues: what gettext means by its bytes, and only prose of two languages."""

import gettext
import io
import json
import re
import shutil
import subprocess

import pytest
from catalogue_files import mo_bytes, write_catalogues
from hypothesis import given
from hypothesis import strategies as st

from crosslens.errors import InputError
from crosslens.sources import fetch
from crosslens.sources.catalogues import (
    clean,
    is_pair,
    read_catalogue,
    read_messages,
    sample_messages,
)

pytest.importorskip("polib", reason="needs the package polib")

MESSAGES = {
    "_Open the file…": "ا_فتح الملف…",
    "menu\4&Close the window": "أ&غلق النافذة",
    "Save %d files": "احفظ %d ملفات",
    "One old file\0Some old files": "ملفات قديمة\0ملف قديم واحد\0ملفان قديمان",
    "NAME OF TRANSLATORS\4Your names": "فلان الفلاني",
    "translator-credits": "فلان الفلاني",
    "Not translated yet": "",
    "Print": "اطبع",
}


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_a_catalogue_is_read_as_the_standard_library_reads_it(tmp_path, byteorder):
    data = mo_bytes(MESSAGES, byteorder)
    (tmp_path / "x.mo").write_bytes(data)
    reference = gettext.GNUTranslations(io.BytesIO(data))
    assert dict(read_catalogue(tmp_path / "x.mo")) == {
        "Open the file": clean(reference.gettext("_Open the file…")),
        "Close the window": clean(reference.pgettext("menu", "&Close the window")),
        "Save %d files": reference.gettext("Save %d files"),
        "Print": "اطبع",
    }
    assert {pair for pair in read_catalogue(tmp_path / "x.mo") if is_pair(*pair)} == {
        ("Close the window", "أغلق النافذة"),
        ("Open the file", "افتح الملف"),
    }


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("_Open File...", "Open File"),
        ("E&xit Now", "Exit Now"),
        ("ملف جديد (_N)", "ملف جديد"),
        ("ملف جديد (&N)…", "ملف جديد"),
        ("Full name:", "Full name"),
        ("\u200fاسم الملف\u200e :", "اسم الملف"),
        ("Is this so?", "Is this so?"),
        ("the max_line_length option", "the max_line_length option"),
        ("AT&T Labs", "AT&T Labs"),
        ("two  spaces.", "two spaces."),
    ],
)
def test_cleaning_by_hand(raw, cleaned):
    assert clean(raw) == cleaned


@given(st.text())
def test_cleaning_adds_nothing(text):
    letters = iter(text)
    assert all(letter in letters for letter in clean(text))


@pytest.mark.parametrize(
    ("english", "arabic", "kept"),
    [
        ("Open the file", "افتح الملف", True),
        ("Open", "افتح الملف", False),
        ("Open the file", "افتح", False),
        ("Open the file", "Open the file", False),
        ("Open the file", "Open the file الملف", False),
        ("Use GNOME here", "استخدم جنوم GNOME هنا", True),
        ("افتح الملف", "افتح الملف", False),
        ("Open %s now", "افتح %s الآن", False),
        ("Open <b>it</b> now", "افتح الملف الآن", False),
        ("Use --force here", "استخدم هذا الخيار", False),
        ("Open the file\nor not", "افتح الملف", False),
        ("word " * 41, "كلمة " * 10, False),
        ("word " * 40, "كلمة " * 40, True),
        ("1 2", "افتح الملف", False),
    ],
)
def test_what_is_a_pair(english, arabic, kept):
    assert is_pair(english, arabic) is kept


def test_every_text_once_the_common_translation_first(tmp_path):
    folder = write_catalogues(
        tmp_path,
        {
            "b": {"Open the file": "افتح الملف", "Show the page": "اعرض الصفحة"},
            "a": {"Open The File": "افتح هذا الملف", "Display the page": "اعرض الصفحة"},
            "c": {"Open the file": "افتح الملف"},
        },
    )
    found = {message.en: (message.ar, message.package) for message in read_messages(folder)}
    assert found == {"Open the file": ("افتح الملف", "b"), "Display the page": ("اعرض الصفحة", "a")}


def test_a_larger_sample_appends_and_another_seed_draws_others(tmp_path):
    words = ["باب", "دار", "بحر", "جبل", "نهر", "سهل", "ورد", "نجم", "قمر", "شمس"]
    messages = {f"{a} thing of {b}": f"{words[a]} و{words[b]}" for a in range(10) for b in range(10)}
    folder = write_catalogues(tmp_path, {"p": {f"This is {key}": text for key, text in messages.items()}})
    everything = read_messages(folder)
    assert len(everything) == 100 and sorted(m.image_id for m in everything) == [
        m.image_id for m in everything
    ]
    assert len({message.image_id for message in everything}) == 100
    ten, thirty = (sample_messages(folder, count=count, seed=0) for count in (10, 30))
    assert ten == thirty[:10] and set(thirty) <= set(everything)
    assert sample_messages(folder, count=10, seed=1) != ten
    with pytest.raises(InputError, match="messages.count: found 101; expected 1 to 100"):
        sample_messages(folder, count=101, seed=0)


def test_a_changed_catalogue_is_refused(tmp_path):
    folder = write_catalogues(tmp_path, {"p": MESSAGES})
    (path,) = folder.rglob("*.mo")
    path.write_bytes(mo_bytes({**MESSAGES, "Print": "اطبعها"}))
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_messages(folder)


@pytest.mark.parametrize("name", ["a" * 300, "d/" * 2100 + "x"])
def test_a_name_that_no_file_can_have_is_told_in_one_line(tmp_path, name):
    """Of such a name the system does not say that it is not there."""
    folder = write_catalogues(tmp_path, {"p": MESSAGES})
    manifest = folder / "manifest.json"
    told = json.loads(manifest.read_text())
    told["packages"][0]["catalogues"][0]["file"] = name
    manifest.write_text(json.dumps(told))
    with pytest.raises(InputError, match="found no file"):
        read_messages(folder)


@pytest.mark.parametrize("data", [b"", b"no catalogue at all", mo_bytes(MESSAGES)[:60]])
def test_what_is_no_catalogue_is_refused(tmp_path, data):
    (tmp_path / "x.mo").write_bytes(data)
    with pytest.raises(InputError, match=r"x\.mo.*catalogue"):
        list(read_catalogue(tmp_path / "x.mo"))


def package(folder, name, files):
    """A .deb with `files` (path -> bytes)."""
    root = folder / name
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 1:2-3\nArchitecture: all\nMaintainer: Nobody <n@example.org>\nDescription: x\n"
    )
    subprocess.run(["dpkg-deb", "--build", root, folder / f"{name}.deb"], check=True, capture_output=True)
    shutil.rmtree(root)
    return folder / f"{name}.deb"


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg-deb")
def test_fetching_keeps_catalogues_and_licences_and_says_what_is_missing(tmp_path, monkeypatch):
    built = tmp_path / "built"
    built.mkdir()
    deb = package(
        built,
        "two",
        {
            "usr/share/locale/ar/LC_MESSAGES/x.mo": mo_bytes(MESSAGES),
            "usr/lib/app/sub/locale/ar/LC_MESSAGES/x.mo": mo_bytes({"Show the page": "اعرض الصفحة"}),
            "usr/share/locale/fr/LC_MESSAGES/x.mo": mo_bytes({"Show the page": "Afficher la page"}),
            "usr/share/doc/two/copyright": b"GPL",
            "usr/share/doc/two/changelog": b"x",
        },
    )
    monkeypatch.setattr(fetch, "_download", lambda name, scratch: deb if name == "two" else None)
    monkeypatch.setattr(shutil, "which", lambda tool: tool)
    to = tmp_path / "to"
    manifest = fetch.fetch_messages(to, ["two", "none"])
    assert manifest["missing"] == ["none"] and manifest["pairs"] == len(read_messages(to)) == 3
    (entry,) = manifest["packages"]
    assert (entry["package"], entry["version"], entry["licence"]) == ("two", "1:2-3", "two/copyright")
    assert {path.relative_to(to).as_posix() for path in to.rglob("*") if path.is_file()} == {
        "manifest.json",
        "two/copyright",
        *(f"two/{catalogue['file']}" for catalogue in entry["catalogues"]),
    }
    assert len(entry["catalogues"]) == 2
    with pytest.raises(InputError, match="new or empty folder"):
        fetch.fetch_messages(to, ["two"])
    with pytest.raises(InputError, match="none of 1 packages"):
        fetch.fetch_messages(tmp_path / "other", ["none"])
