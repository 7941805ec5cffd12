"""Dead letters once more: their bytes from the log, and the way back to where they came from."""
