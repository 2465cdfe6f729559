"""How often is each method right? Grafts of known place, direction, language and effect, and what the methods say of them."""
