"""The report of a study: one self-contained HTML page, without script, made from results files only."""
