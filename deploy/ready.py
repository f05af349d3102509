#!/usr/local/bin/python -IS
"""Health check of a container: `ready PORT [PATH]` succeeds when the process says that it is ready.

It prints the answer, which `docker inspect` shows. It runs every few seconds, so it needs neither curl nor `urllib` and
starts within milliseconds.
"""

import socket
import sys

SECONDS = 3.0


def main() -> int:
    """Ask and return the exit code."""
    port, path = int(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "/readyz"
    try:
        answer = ask(port, path)
    except OSError as error:
        print(f"127.0.0.1:{port} does not answer: {error}")  # noqa: T201 - for `docker inspect`
        return 1
    head, _, body = answer.partition("\r\n\r\n")
    print(body.strip())  # noqa: T201 - for `docker inspect`
    return 0 if head.startswith("HTTP/1.1 200 ") else 1


def ask(port: int, path: str) -> str:
    """Return the whole response of this machine's `port`."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65_536), b"")).decode()


if __name__ == "__main__":
    sys.exit(main())
