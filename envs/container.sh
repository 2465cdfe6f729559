#!/bin/sh
# What both container definitions run, in the root of a checkout: the dependencies that pyproject.toml pins.
set -eu
apt-get update
apt-get install -y --no-install-recommends git
rm -rf /var/lib/apt/lists/*
pip install --no-cache-dir .
