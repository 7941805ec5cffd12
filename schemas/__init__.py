"""The words: frozen models of every event, constants of every topic, the tree of errors.

What belongs here: what things are called and what they look like. What does not: I/O, asyncio, decisions.
"""
