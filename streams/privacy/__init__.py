"""What is stored of a person: which fields, sealed under a key of the account's own, and how the key is shredded.

What belongs here: the table of fields, sealing, opening, the keys on their topic. What does not: credentials.
"""
