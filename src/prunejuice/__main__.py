"""Run the `prj` command as `python -m prunejuice`."""

from prunejuice.cli.prj import main

if __name__ == "__main__":
    main()
