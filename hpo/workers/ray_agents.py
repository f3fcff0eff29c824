"""A stand-in for an agent of a local Ray: it says that it has no ports, and ends with Ray."""

import os
import sys


def stand_in(folder: str, node: str, *ports: str) -> None:
    """Write the files that Ray waits for, and wait until it closes the pipe."""
    for port in ports:
        path = os.path.join(folder, f"{port}_{node}")
        with open(f"{path}.part", "w") as file:
            file.write("-1")
        os.rename(f"{path}.part", path)
    while os.read(0, 1024):
        pass


if __name__ == "__main__":
    stand_in(*sys.argv[1:])
