"""python -m optselect, and the command optselect: the same."""

from optselect.search.working_folder import leave_out_working_folder


def main() -> None:
    """Run a command, with imports that the folder where it was typed has no part in."""
    leave_out_working_folder()
    from optselect.search.cli.app import main as run

    run()


if __name__ == "__main__":
    main()
