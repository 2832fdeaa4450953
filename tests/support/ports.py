"""Ports for servers that tests start as processes."""

import random
import socket

# Below those that the system gives to whoever asks for any port: a server of another test, or a client's
# end of a connection, cannot take it between the moment it is chosen and the moment it is used.
_FIRST, _LAST = 20_000, 32_000


def free_port() -> int:
    """Return a port of 127.0.0.1 on which nothing listens."""
    while True:
        port = random.SystemRandom().randint(_FIRST, _LAST)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
