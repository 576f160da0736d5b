"""What a test does where a Python package is missing: it is skipped, or fails where every test must run (script/test --full)."""
import os
import sys

ALL_NEEDED = os.environ.get("THIMBLE_ALL_PACKAGES") == "1"


def skip_without(error):
    """Ends a test program that met this ImportError."""
    print(f"{'FAILED' if ALL_NEEDED else 'skipped'}: {error}; script/test --full installs every package")
    sys.exit(1 if ALL_NEEDED else 77)
