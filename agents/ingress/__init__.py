"""Ingress: takes Zuora's callouts in, appends them to Kafka, and only then answers 200.

Stateless; never calls Zuora or IFS Cloud.
"""
