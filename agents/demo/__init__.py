"""The demonstration: every process on one machine, a bill run through them, and what a person sees of it.

It starts the very commands that containers run, and talks to them as people and other systems do.
"""
