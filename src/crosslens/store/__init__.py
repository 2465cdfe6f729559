"""Content-addressed artifacts: recipes say what is to be made, the store holds what was."""
