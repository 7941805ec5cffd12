"""Zuora's callouts: from the bytes of a webhook to what it says; nothing in here knows HTTP servers or Kafka."""
