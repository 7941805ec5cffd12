"""What can keep the local broker from running."""


class BrokerError(Exception):
    """The broker cannot start or has ended by itself; the message is one line for the person at the terminal."""
