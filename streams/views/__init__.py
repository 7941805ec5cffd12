"""Folds of events into what people read: pure, so that console and command line show the same."""
