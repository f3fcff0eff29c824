"""Ports that stay free until the test that asked for them listens there."""

import random
import socket


def free_ports(count: int) -> list[int]:
    """Return ports of this machine that nobody listens on.

    Linux gives 32768 and up to whoever asks for any port, and Ray's workers take 10002 to 19999:
    one of those may be gone before its test has started a server.
    """
    ports = random.SystemRandom().sample(range(20_000, 32_000), 2 * count + 100)
    return [port for port in ports if not listens(port)][:count]


def listens(port: int) -> bool:
    """Say whether somebody listens on this port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
