"""The folder of what can be made or downloaded again."""

import os
from pathlib import Path


def cache() -> Path:
    """Return the folder of the cache: HPO_CACHE, or hpo in the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("HPO_CACHE") or Path(home, "hpo"))
