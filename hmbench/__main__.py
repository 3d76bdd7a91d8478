"""``python -m hmbench``: the command line, also where no script was installed."""

from hmbench.cli import main

if __name__ == "__main__":
    main()
