"""Ports: found free, or refused with a clear line."""

import random
import socket

from deploy.kafka.errors import BrokerError

# Below the range from which Linux (32768) and macOS (49152) take ports for outgoing connections: a client that tries to
# reach a broker that is down can otherwise be given the broker's own port, connect to itself and keep the broker out.
FREE_PORTS = range(15_000, 32_000)
TRIES = 100


def free_port(host: str) -> int:
    """Return a TCP port on which nothing listens now.

    Raises:
        BrokerError: none was found.

    """
    for port in random.SystemRandom().sample(FREE_PORTS, TRIES):
        if is_free(host, port):
            return port
    raise BrokerError(f"no free port found on {host} between {FREE_PORTS.start} and {FREE_PORTS.stop}")


def is_free(host: str, port: int) -> bool:
    """Say whether a server could listen there now; like Kafka it does not mind connections that are winding down."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def require_free(host: str, port: int) -> None:
    """Refuse a port that is taken, or an address that this machine does not have.

    Raises:
        BrokerError: the port cannot be listened on.

    """
    try:
        address_is_ours = is_free(host, 0)
    except UnicodeError:
        address_is_ours = False
    if not address_is_ours:
        raise BrokerError(f"{host} is not an address of this machine: choose another --host")
    if not is_free(host, port):
        raise BrokerError(f"port {port} on {host} is already taken (or not permitted): choose another --port")
