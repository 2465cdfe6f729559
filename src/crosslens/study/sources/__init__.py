"""Where the texts of a study come from: one file a source, found by the key of the section `source` that has its name.

A member has SETTINGS, JSON schema of its keys in that section (the first is its name), and SOURCE, its class. A new one is
such a file and, if something has to be made first, a kind of artifact with its rule and script.
"""
