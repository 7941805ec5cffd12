"""Joins documents with their mapping, holds what has a gap, releases it in order, and asks for vouchers.

One agent on all the topics that touch an account, one event at a time, so that the order per account covers them all.
No HTTP. What to do is decided by streams.accounting; here it is carried out.
"""
