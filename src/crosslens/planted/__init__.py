"""The planted study: drawn scenes, bilingual captions and a tiny Gemma-3 model whose gender bias is known.

`scenes`, `drawing`, `captions` and `source` need neither torch nor transformers; `tokenizer`, `model`,
`recipe` and `evaluation` do. `python -m crosslens.planted --out DIR` retrains the model and re-checks it.
"""
