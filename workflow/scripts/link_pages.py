"""Link every file beside a page into a folder: `link_pages.py PAGE FOLDER`.

`snakemake --report` follows links to files, and none to folders: these are made, and are real.
"""

import os
import sys

page, folder = sys.argv[1:]
beside = os.path.dirname(page)
for place, _, files in os.walk(beside, followlinks=True):
    own = os.path.normpath(os.path.join(folder, os.path.relpath(place, beside)))
    os.makedirs(own, exist_ok=True)
    for name in files:
        if not name.startswith("."):
            # by the path that people know: what that shows is what this shows
            os.symlink(os.path.relpath(os.path.join(place, name), own), os.path.join(own, name))
