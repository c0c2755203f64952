"""`python -m prunejuice` is `prj`."""

from prunejuice.cli.prj import main

if __name__ == "__main__":
    main()
