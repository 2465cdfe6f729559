"""The folder that a browser opens: a page, its scripts and style, which lie beside these modules, and data as scripts."""
