"""What is done to the words: accounting and views (pure), the two far sides, and the log.

What belongs here: functions and clients that anyone may call. What does not: anything with a life cycle of its own, for
which there is agents.
"""
