"""Fetch gettext catalogues with Arabic from the packages of Debian: apt-get and dpkg-deb, no root, nothing installed."""

import logging
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from crosslens.errors import InputError
from crosslens.progress import Progress
from crosslens.sources.catalogues import MANIFEST_KIND, read_catalogue, read_messages
from crosslens.sources.plan import MANIFEST
from crosslens.store.digests import content_digest
from crosslens.tables.documents import write_json

log = logging.getLogger(__name__)

PACKAGES = (
    "aegisub-l10n",
    "anjuta-common",
    "audacious-plugins-data",
    "audacity-data",
    "auto-multiple-choice-common",
    "brasero-common",
    "brltty",
    "calligrasheets-data",
    "cinnamon-l10n",
    "digikam-data",
    "dolphin-emu-data",
    "evolution-common",
    "filezilla-common",
    "gimp-data",
    "gnome-commander-data",
    "gnome-control-center-data",
    "gnome-packagekit-common",
    "gnome-software-common",
    "gnucash-common",
    "gramps",
    "kdenlive-data",
    "kdepim-addons",
    "kdeplasma-addons-data",
    "kile-l10n",
    "konsole",
    "krita-l10n",
    "ktexteditor-data",
    "ktorrent-data",
    "libgladeui-common",
    "libgtk2.0-common",
    "libkf5akonadi-data",
    "libsynfig0a",
    "lyx-common",
    "neochat",
    "phpmyadmin",
    "pidgin-data",
    "planner-data",
    "plasma-discover-common",
    "pluma-common",
    "poedit-common",
    "rhythmbox-data",
    "seahorse-daemon",
    "shotwell-common",
    "system-config-printer-common",
    "thunar-data",
    "tilix-common",
    "timeshift",
    "vlc-l10n",
    "zypper-common",
)
"""Packages of Debian 12 with the most usable Arabic messages a megabyte, lists of names (keyboards, places) left out."""
_CATALOGUE = re.compile(r"/locale/ar/LC_MESSAGES/[^/]+\.mo$")


def fetch_messages(to: Path, packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Download `packages`, keep their Arabic catalogues and copyright files under `to`, and write the manifest there.

    `to` must not exist, or be empty. A package that the machine's Debian does not have is listed in the manifest under
    `missing`. Returns the manifest, with the number of usable pairs. Raises InputError without the tools of Debian, or
    where no package could be had.
    """
    to = Path(to)
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise InputError(
                tool,
                found="no such command",
                expected="a Debian system",
                mend="fetch on one (a container will do) and copy the folder",
            )
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(
            to, found="files", expected="a new or empty folder", mend="name another, or empty it"
        )
    to.mkdir(parents=True, exist_ok=True)
    found, missing = [], []
    progress = Progress("fetch packages", len(packages), "packages")
    for package in sorted(packages):
        with tempfile.TemporaryDirectory() as scratch:
            deb = _download(package, Path(scratch))
            if deb is None:
                missing.append(package)
            else:
                found.append(_keep(package, deb, to))
        progress.update(1)
    if not found:
        raise InputError(
            "apt-get download",
            found=f"none of {len(packages)} packages",
            expected="packages of Debian",
            mend="run `apt-get update`, and see that the machine reaches a Debian mirror",
        )
    document = {"packages": found, "missing": missing}
    write_json(to / MANIFEST, MANIFEST_KIND, document)
    return {**document, "pairs": len(read_messages(to))}


def _download(package: str, scratch: Path) -> Path | None:
    done = subprocess.run(["apt-get", "download", "-q", package], cwd=scratch, capture_output=True, text=True)
    if done.returncode:
        log.warning("%s: %s", package, " ".join(done.stderr.split()) or "not downloaded")
        return None
    (deb,) = scratch.glob("*.deb")
    return deb


def _keep(package: str, deb: Path, to: Path) -> dict[str, Any]:
    """Unpack what is wanted of one package to `to/package`, and say what it was."""
    copyright_file = f"./usr/share/doc/{package}/copyright"
    catalogues = []
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE) as process:
        with tarfile.open(fileobj=process.stdout, mode="r|") as archive:
            for member in archive:
                wanted = bool(_CATALOGUE.search(member.name))
                if not member.isfile() or not (wanted or member.name == copyright_file):
                    continue
                file = PurePosixPath(member.name).as_posix() if wanted else "copyright"
                path = to / package / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(archive.extractfile(member).read())
                if wanted:
                    messages = sum(1 for _ in read_catalogue(path))
                    catalogues.append({"file": file, "sha256": content_digest(path), "messages": messages})
    if process.returncode:
        raise InputError(
            deb.name,
            found="a package that does not unpack",
            expected="a .deb",
            mend="fetch the messages again",
        )
    version = subprocess.run(
        ["dpkg-deb", "--field", deb, "Version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return {
        "package": package,
        "version": version,
        "sha256": content_digest(deb),
        "licence": f"{package}/copyright" if (to / package / "copyright").is_file() else None,
        "messages": sum(entry["messages"] for entry in catalogues),
        "catalogues": sorted(catalogues, key=lambda entry: entry["file"]),
    }
