"""Settings of Ray, which it reads from the environment once, when it is first imported."""

import os
from collections.abc import Mapping

_ALWAYS = {
    "RAY_AUTH_MODE": "token",  # Ray listens on the network, whatever its settings
    "RAY_USAGE_STATS_ENABLED": "0",
}
FOR_WORKERS = _ALWAYS | {
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".*",  # its lines about failed tasks would go to stdout
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # of what warms a worker that ends meanwhile
    # A node connects to its own store, which may not listen yet; then it would wait for a second.
    "RAY_raylet_client_connect_timeout_milliseconds": "20",
    "RAY_raylet_client_num_connect_attempts": "500",
}
FOR_JOBS = _ALWAYS | {
    "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES": "",  # hpo itself chooses the files to send
}


def apply(settings: Mapping[str, str]) -> None:
    """Set the variables that the environment does not set already."""
    for name, value in settings.items():
        os.environ.setdefault(name, value)
