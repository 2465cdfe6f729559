"""A page that runs a small model in the browser: its weights, SAEs and pictures, and the JavaScript beside this file."""
