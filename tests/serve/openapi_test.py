#!/usr/bin/env python3
"""Whether /openapi.json is true: schemathesis sends what it allows and what it does not, and looks at each answer's status, type and
schema.

usage: openapi_test.py IMGCAP. Exit code 77: schemathesis is not installed (pip install schemathesis).

Left out is its check that all that the schema allows is accepted: that options stand in one place, and that words are the model's,
no schema says.
"""
import os, pathlib, subprocess, sys, tempfile

from browser_tools import Server

PROGRAM = pathlib.Path(sys.executable).parent / "schemathesis"
if not PROGRAM.exists():
    print("skipped: schemathesis is not installed")
    sys.exit(77)

server = Server(os.path.abspath(sys.argv[1]))
try:
    with tempfile.TemporaryDirectory() as folder:
        code = subprocess.run(
            [PROGRAM, "run", server.address + "openapi.json", "--max-examples", "20", "--phases", "coverage,fuzzing", "--exclude-checks",
             "positive_data_acceptance", "--no-color"], cwd=folder).returncode
    assert server.process.poll() is None, "the server has ended"
finally:
    server.stop()
sys.exit(code)
