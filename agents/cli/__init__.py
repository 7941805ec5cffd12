"""The command line `zuora-ifs`: one module per group of commands, each imported only when it is called."""

from agents.cli.main import main

__all__ = ["main"]
