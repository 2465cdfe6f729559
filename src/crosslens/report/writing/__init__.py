"""The written summary of a study: what the page says and tabulates, by question, in Markdown and in HTML without pictures."""
