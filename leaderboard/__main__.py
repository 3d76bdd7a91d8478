"""Runs `leaderboard.cli`; a user's mistake ends in one sentence and exit code 2."""

import sys

from hmbench.durable import storage_error
from hmbench.errors import UserError
from hmbench.streams import say_everything
from leaderboard.cli import app

if __name__ == "__main__":
    say_everything()
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"Error: {error.what}\n  {error.hint}\n")
        sys.exit(2)
    except OSError as error:
        found = storage_error(error)
        sys.stderr.write(f"Error: {found.what}\n  {found.hint}\n")
        sys.exit(2)
