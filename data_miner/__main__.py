"""`python -m data_miner` is `data-miner`."""

from data_miner.cli.main import main

if __name__ == "__main__":
    main()
