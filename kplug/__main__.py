"""`python -m kplug`: the command line."""

from kplug.cli import main

if __name__ == "__main__":
    main()
