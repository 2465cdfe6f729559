"""Labels of features in words, and whether the label alone tells in which texts a feature fires."""
