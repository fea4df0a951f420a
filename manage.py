#!/usr/bin/env python
"""Django's command line for Moorage."""

import os
import sys


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    from django.core.management import execute_from_command_line

    from config.environment import BadSetting

    try:
        execute_from_command_line(sys.argv)
    except BadSetting as problem:
        sys.exit(f"{problem}\ndocs/settings.md lists every setting.")


if __name__ == "__main__":
    main()
