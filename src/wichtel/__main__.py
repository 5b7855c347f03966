"""``python -m wichtel`` is the command `wichtel`."""

from wichtel.cli import main

if __name__ == "__main__":
    main()
