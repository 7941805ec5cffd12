"""`python -m agents` is `zuora-ifs`."""

from agents.cli import main

if __name__ == "__main__":
    main()
