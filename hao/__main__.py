"""`python -m hao` is `hao`."""

from hao.cli import main

if __name__ == "__main__":
    main()
