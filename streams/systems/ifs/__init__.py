"""IFS Cloud: its OData requests, its errors, its vouchers.

What belongs here: how IFS is asked and what its answers mean. What does not: when to ask, and what to do about it.
"""
