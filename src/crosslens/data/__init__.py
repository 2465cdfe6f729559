"""From a bilingual caption table and a folder of images to one dataset table per language."""
