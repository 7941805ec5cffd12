"""Asks a broker whether it truly answers: an open port alone is not yet a broker that takes records."""

import socket
import struct

METADATA = 3
TIMEOUT_SECONDS = 2.0


def answers(host: str, port: int) -> bool:
    """Say whether the broker names itself in its own metadata, which it does once it may take records.

    The request is version 0 of Kafka's Metadata (Kafka protocol guide): four bytes of length, then api key, version,
    correlation id, client id, and the topics asked for. The answer begins with length, correlation id, brokers.
    """
    client = b"readiness"
    body = struct.pack(f">hhih{len(client)}si", METADATA, 0, 1, len(client), client, 0)
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_SECONDS) as connection:
            connection.sendall(struct.pack(">i", len(body)) + body)
            with connection.makefile("rb") as answer:
                head = answer.read(12)
    except OSError:
        return False
    return len(head) == 12 and struct.unpack(">iii", head)[2] > 0
