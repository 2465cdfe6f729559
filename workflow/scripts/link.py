"""Link outputs into the store: `link.py ACTION OUTPUT…`; an output is a file of a folder artifact, or the artifact."""

import os
import sys

# Links say where they lead from the real folder that they are in: `results` or the store may itself be a link.
action, *outputs = sys.argv[1:]
action = os.path.join(os.path.realpath(os.path.dirname(action)), os.path.basename(action))
if not os.path.exists(action):
    sys.exit(f"{action}: not in the store; run snakemake again")
for output in outputs:
    folder, name = os.path.split(output)
    inside = os.path.join(action, name)
    target = inside if os.path.exists(inside) else action
    temporary = f"{output}.{os.getpid()}.link"
    os.symlink(os.path.relpath(target, os.path.realpath(folder)), temporary)
    os.replace(temporary, output)
