"""The analyses of a layer as flat records, one row each of a table of the page: an open package (see crosslens.registry).

A member is named after the kind of artifact that it flattens and has `records(files) -> {list: [record]}`, where `files`
is kind -> key -> path of all that was measured at the site, the key `{corpus}/{language}` or whichever of both the kind
has. It may have `check(summary)`, which raises InputError where the summary contradicts itself. A record whose `p` is one of
a family of tests over all layers names it in `q_family`, or None where nothing was tested (see summary.study).
"""
