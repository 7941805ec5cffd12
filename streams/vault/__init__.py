"""The encrypted vault: how credentials are sealed, kept on the log, and taken up by what runs.

What belongs here: keys, sealing, the topic's records, who uses which credentials. What does not: tokens, HTTP.
"""
