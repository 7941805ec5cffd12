"""`python -m deploy.sandbox zuora|ifs|mappings`."""

from deploy.sandbox.cli import main

main()
