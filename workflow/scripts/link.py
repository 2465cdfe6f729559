"""Link outputs into the store: `link.py ACTION OUTPUT…`; an output is a file of a folder artifact, or the artifact."""

import os
import sys

action, *outputs = sys.argv[1:]
if not os.path.exists(action):
    sys.exit(f"{action}: not in the store; run snakemake again")
for output in outputs:
    folder, name = os.path.split(output)
    inside = os.path.join(action, name)
    target = inside if os.path.exists(inside) else action
    temporary = f"{output}.{os.getpid()}.link"
    os.symlink(os.path.relpath(target, folder), temporary)
    os.replace(temporary, output)
