"""Zuora Billing: its documents, fetched whole over REST v1. Nothing here writes to Zuora."""
