"""Where the pinned clients of tests/api are kept: a folder for each state of requirements.txt and each Python."""
import hashlib
import os
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "tests/api/requirements.txt"


def default_dir():
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(cache, "realm", "clients")


def folder():
    """A virtual environment, whole when it is there at all. Its name changes with what should be in it."""
    said = REQUIREMENTS.read_bytes() + b"%d.%d" % sys.version_info[:2]
    return default_dir() / hashlib.sha256(said).hexdigest()[:16]


def enter():
    """Goes on in the pinned clients' environment: to be called before anything of it is imported."""
    where = folder()
    if os.path.realpath(sys.prefix) == os.path.realpath(where):
        return
    python = where / "bin/python"
    if not python.exists():
        sys.exit(f"{sys.argv[0]}: the pinned clients are missing: run tools/fetch_clients")
    os.execv(python, [str(python), "-B", *sys.argv])
