"""Runs `leaderboard.cli`; a user's mistake ends in one sentence and exit code 2."""

import sys

from hmbench.errors import UserError
from leaderboard.cli import app

if __name__ == "__main__":
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"Error: {error.what}\n  {error.hint}\n")
        sys.exit(2)
