"""Asks the server what its /openapi.json allows and forbids, at random: no failure of the server, no status that is not described.

ANTIPHON_URL   the server, such as http://127.0.0.1:7700
ANTIPHON_KEY   a key of it
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

URL = os.environ["ANTIPHON_URL"]
# Doors are WebSockets, and a profile takes as long as it is asked for.
NOT_ASKED = "(realtime|/ws|/media|/profile)$"

st = Path(sys.executable).with_name("st")
# It leaves files where it runs.
folder = tempfile.TemporaryDirectory()
asked = subprocess.run(
    [
        st, "run", f"{URL}/openapi.json", "--phases", "fuzzing", "-n", "10", "--no-shrink", "--seed", "1",
        "--continue-on-failure", "--request-timeout", "20", "-w", "1", "--generation-database", "none",
        "--exclude-path-regex", NOT_ASKED, "--checks", "not_a_server_error,status_code_conformance",
        "-H", f"Authorization: Bearer {os.environ['ANTIPHON_KEY']}",
    ],
    check=False,
    cwd=folder.name,
)
sys.exit(asked.returncode)
