"""Reading a caption table: what is accepted, and what every refusal says."""

import subprocess
import sys

import pytest
from conftest_data import HEADER, people

from crosslens.data.captions import read_rows
from crosslens.errors import InputError
