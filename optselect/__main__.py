"""python -m optselect, the same as the command optselect."""

from optselect.search.cli import main

if __name__ == "__main__":
    main()
