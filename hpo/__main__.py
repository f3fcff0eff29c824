"""Runs the commands: python -m hpo is hpo."""

from hpo.cli.commands import main

if __name__ == "__main__":
    main()
