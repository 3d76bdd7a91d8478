"""``python -m leaderboard``: the same commands as ``hmbench leaderboard``, ended in the same way."""

from hmbench.cli import run_app
from leaderboard.cli import app

if __name__ == "__main__":
    run_app(app)
