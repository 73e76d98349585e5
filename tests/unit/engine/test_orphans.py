"""What the orphan sweep deletes and what it must leave, on a real ledger and a real store."""

import uuid
from pathlib import Path

import pytest

from data_miner.engine.orphans import OrphanSweep
from data_miner.ledger import jobs
from data_miner.ledger.connection import Ledger
from data_miner.ledger.jobs import Job
from data_miner.store.artifacts import Store
from tests.support.ledger import Miner, World, register, rows, run_sql

WORLD = World({"search": ["v"]})
STRANGERS = (
    "shards/readme.txt",
    "shards/12-1.tar",
    "shards/000000001.tar",
    "shards/000000001-0.tar",
    "shards/999999999-1.tar",
    "other/000000001-1.tar",
    "videos/deep/000000001-1.mp4",
    "top.txt",
)


class Home:
    """A ledger with one mined video, and the artifacts that its rows name."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger, self.scratch = ledger, folder / "scratch"
        register(ledger, WORLD)
        self.miner = Miner(ledger, WORLD)
        self.store = Store(str(folder / "store"))
        self.store.claim_identity(uuid.uuid4().hex)
        self.sweep = OrphanSweep(ledger, self.store, self.scratch)

    def mine(self) -> None:
        """Do all jobs and put what they name into the store."""
        self.miner.run()
        for key in self.named():
            self.put(key)

    def named(self) -> set[str]:
        """Keys that committed rows name."""
        query = """SELECT path FROM "fetch" WHERE path IS NOT NULL UNION SELECT path FROM embedding
            UNION SELECT shard FROM segment WHERE shard IS NOT NULL"""
        return {row.path for row in rows(self.ledger, query)}

    def present(self) -> set[str]:
        """Keys there are."""
        return set(self.store.list())

    def put(self, key: str) -> str:
        """Plant an artifact."""
        self.store.put_bytes(key, b"x")
        return key

    def job(self, stage: str) -> int:
        """The first job of a stage."""
        query = "SELECT id FROM job WHERE stage = %s ORDER BY id LIMIT 1"
        return int(rows(self.ledger, query, stage)[0].id)

    def claimed(self, *stages: str) -> Job:
        """A running job."""
        job = self.miner.claim(stages)
        assert job is not None
        return job


@pytest.fixture
def home(database: Ledger, tmp_path: Path) -> Home:
    """A ledger and a store beside it."""
    return Home(database, tmp_path)


def test_what_rows_name_stays(home: Home) -> None:
    home.mine()
    assert len(home.present()) == 4  # a video and three segments
    assert home.sweep.sweep() == 0
    assert home.present() == home.named()


@pytest.mark.parametrize(
    ("kind", "stage", "extension"),
    [("videos", "download", "mp4"), ("shards", "extract", "tar"), ("embeddings", "filter", "npy")],
)
def test_what_a_finished_attempt_left_is_deleted(kind: str, stage: str, extension: str, home: Home) -> None:
    home.mine()
    run_sql(home.ledger, "UPDATE job SET attempt = 3 WHERE id = %s", home.job(stage))
    older, same, next_one = (home.put(f"{kind}/{home.job(stage):09d}-{attempt}.{extension}") for attempt in (2, 3, 4))
    assert home.sweep.sweep() == 2
    assert {older, same, next_one} & home.present() == {next_one}
    assert home.named() <= home.present()


def test_a_running_attempt_keeps_what_it_wrote_and_loses_what_its_forerunner_wrote(home: Home) -> None:
    home.miner.run(("expand", "download"))
    run_sql(home.ledger, "UPDATE job SET attempt = 1 WHERE stage = 'extract'")
    job = home.claimed("extract")
    assert job.attempt == 2
    before, own = home.put(f"shards/{job.id:09d}-1.tar"), home.put(f"shards/{job.artifact}.tar")
    home.sweep.sweep()
    assert own in home.present() and before not in home.present()


def test_an_artifact_is_an_orphan_once_its_worker_is_dead(home: Home) -> None:
    home.miner.run(("expand", "download"))
    job = home.claimed("extract")
    own = home.put(f"shards/{job.artifact}.tar")
    with home.ledger.transaction() as cursor:
        jobs.release_workers(cursor, [home.miner.id], by_own_work=True)
    home.sweep.sweep()
    assert own not in home.present()


def test_names_that_prove_nothing_stay(home: Home) -> None:
    home.mine()
    for key in STRANGERS:
        home.put(key)
    home.sweep.sweep()
    assert set(STRANGERS) <= home.present()


def test_an_unfinished_part_goes_with_its_attempt(home: Home, tmp_path: Path) -> None:
    home.mine()
    run_sql(home.ledger, "UPDATE job SET attempt = 2 WHERE id = %s", home.job("extract"))
    part = tmp_path / "store" / "shards" / f".{home.job('extract'):09d}-2.tar.ab12.part"
    part.write_bytes(b"half")
    assert home.sweep.sweep() == 1
    assert not part.exists()


def test_scratch_keeps_only_what_can_still_be_of_use(home: Home) -> None:
    home.miner.run(("expand",))
    download = home.job("download")
    folder, shards = home.scratch / "download" / f"{download:09d}", home.scratch / "extract"
    folder.mkdir(parents=True)
    (folder / "film.part").write_bytes(b"half")
    shards.mkdir()
    home.sweep.sweep()
    assert folder.exists(), "it is resumed"

    home.miner.run(("download",))
    run_sql(home.ledger, "UPDATE job SET attempt = 1 WHERE stage = 'extract'")
    job = home.claimed("extract")
    ended, own, stranger = (shards / f"{name}.tar" for name in (f"{job.id:09d}-1", job.artifact, "notes"))
    for path in (ended, own, stranger):
        path.write_bytes(b"half")
    assert home.sweep.sweep() == 2
    assert not folder.exists() and not ended.exists()
    assert own.exists() and stranger.exists()


def test_a_download_folder_in_use_is_left_alone(home: Home) -> None:
    from data_miner.sources.fetch import locked

    home.mine()
    folder = home.scratch / "download" / f"{home.job('download'):09d}"
    with locked(folder):
        home.sweep.sweep()
        assert folder.exists()
    home.sweep.sweep()
    assert not folder.exists()
