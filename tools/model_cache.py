"""Where what is fetched for Realm is kept: $REALM_MODELS_DIR, else realm/models in the user's cache."""
import os
import pathlib


def default_dir():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(os.environ.get("REALM_MODELS_DIR") or pathlib.Path(cache, "realm", "models"))
