"""The page's sections, one module each: an open package (see crosslens.registry).

A member has `ORDER`, by which sections stand on the page, and `section(results)`, which returns a base.Section, or None
where the study has nothing for it.
"""
