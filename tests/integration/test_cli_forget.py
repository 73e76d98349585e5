"""forget, typed against a ledger and a store in which a real project was mined: a takedown leaves nothing."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from data_miner.cli.main import run
from data_miner.cli.preparation import load, registration
from data_miner.config.settings import Settings
from data_miner.config.sites import load_sites
from data_miner.errors import LeaseLostError, UnreachableError
from data_miner.export import withdrawal
from data_miner.export.versions import latest_version
from data_miner.ledger import forget, jobs, projects, successors
from data_miner.ledger.connection import Ledger
from data_miner.records import VideoInfo
from data_miner.sources.names import image_name, video_name
from data_miner.store.artifacts import Store
from pipelines.mine import PIPELINE
from tests.support import mined

Typed = Callable[..., tuple[str, str]]
_ROWS = "video fetch segment frame embedding project_frame detection rejection human_label forgotten"
_IDS = "video fetch segment source_video project_video job forgotten"  # may still name a forgotten video


@pytest.fixture
def typed(
    patterns: Ledger,
    mined_template: tuple[str, mined.Place],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Typed:
    """Type a command, with a store of the test's own; gives stdout and stderr."""
    shutil.copytree(mined_template[1].settings.store, tmp_path / "store")
    monkeypatch.setenv("DATA_MINER_STORE", str(tmp_path / "store"))

    def type_(command: str, *arguments: str, code: int = 0) -> tuple[str, str]:
        capsys.readouterr()
        assert run([*command.split(), *arguments]) == code, capsys.readouterr().err
        shown = capsys.readouterr()
        return shown.out, shown.err

    return type_


def video_of(ledger: Ledger) -> str:
    """A video whose pictures stand for those of another."""
    with ledger.transaction() as cursor:
        row = cursor.execute(
            """SELECT DISTINCT mine.video_id FROM project_frame pf
               JOIN project_segment other USING (project_id, segment_id)
               JOIN project_segment mine ON mine.segment_id = pf.representative_segment_id
               WHERE mine.video_id <> other.video_id"""
        ).fetchone()
    assert row is not None
    return str(row.video_id)


def traces(ledger: Ledger, data: Path, video_id: str, title: str) -> list[str]:
    """Where a video's id or title still stands: rows by table, files by path and content."""
    found = []
    with ledger.transaction() as cursor:
        tables = [
            row.name
            for row in cursor.execute("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'data_miner'")
        ]
        for table in tables:
            rows = cursor.execute(f'SELECT FROM "{table}" t WHERE t::text LIKE %s', [f"%{title}%"]).rowcount
            ids = cursor.execute(f'SELECT FROM "{table}" t WHERE t::text LIKE %s', [f"%{video_id}%"]).rowcount
            if rows or (ids and table not in _IDS.split()):
                found.append(table)
    name = video_name(video_id).encode()
    for path in data.rglob("*"):
        if (
            path.is_file()
            and path.parent.name != "receipts"
            and (name in path.name.encode() or name in path.read_bytes())
        ):
            found.append(str(path))
    return found


def title_of(ledger: Ledger, video_id: str) -> str:
    """Give the video a title that nothing else has."""
    with ledger.transaction() as cursor:
        cursor.execute("UPDATE video SET title = 'Zebra Lobby Tour' WHERE id = %s", [video_id])
    return "Zebra Lobby Tour"


def rows_by_table(ledger: Ledger) -> dict[str, list[str]]:
    """All rows but times and work."""
    with ledger.transaction() as cursor:
        return {
            name: [row.text for row in cursor.execute(f'SELECT t::text AS text FROM "{name}" t ORDER BY 1')]
            for name in _ROWS.split()
        }


def receipt_of(data: Path) -> dict[str, object]:
    """The only receipt."""
    (path,) = (data / "receipts").glob("*.json")
    found: dict[str, object] = json.loads(path.read_text())
    return found


def exported(typed: Typed, ledger: Ledger) -> None:
    """Two versions, v2 with a threshold that keeps fewer; and a page beside each."""
    typed("export -p patterns")
    with ledger.transaction() as cursor:
        cursor.execute("UPDATE detection SET score = 0.2 WHERE pts_ms = 0")
    typed("export -p patterns")
    for version in (Path("data/datasets/patterns/v1"), Path("data/datasets/patterns/v2")):
        (Path(Settings.from_env().data).parent / version / "report.html").write_text("<img src=data:>")
    left_by_a_killed_export = Settings.from_env().datasets / "patterns" / ".writing"
    shutil.copytree(Settings.from_env().datasets / "patterns" / "v1" / "images", left_by_a_killed_export)
    (Settings.from_env().datasets / "patterns" / "v1" / "labels" / "train.cache").write_text(
        video_name(video_of(ledger))
    )
    (Settings.from_env().data / "reports").mkdir()
    for page in ("patterns.html", "plan-patterns-conf-0.4.html"):
        (Settings.from_env().data / "reports" / page).write_text(video_name(video_of(ledger)))


def mine_on(ledger: Ledger) -> None:
    """What a run does that asks its sources again."""
    settings = Settings.from_env()
    name, config = load(str(Path.cwd() / "configs/projects/patterns.yaml"), settings, (), None)
    wanted = registration(name, config, PIPELINE, settings, is_refreshed=True)
    with ledger.transaction() as cursor:
        projects.register(cursor, wanted, load_sites(settings))
    mined.work_off(ledger, settings, load_sites(settings))


def test_nothing_of_a_forgotten_video_is_left_anywhere(patterns: Ledger, typed: Typed, tmp_path: Path) -> None:
    exported(typed, patterns)
    video_id, data = video_of(patterns), tmp_path / "data"
    title = title_of(patterns, video_id)
    typed("labels import -p patterns", str(data / "datasets/patterns/v2"))
    picture = next((data / "datasets/patterns/v2/images").glob(f"*/{video_name(video_id)}_*.jpg")).name
    typed("reject -p patterns", picture)
    store, before = Store(str(tmp_path / "store")), set(Store(str(tmp_path / "store")).list())

    dry, _ = typed("forget", picture, "--dry-run")
    assert dry.startswith("1 video · 7 frames · ") and "images in patterns v1 to v2 · " in dry
    assert dry.endswith("boxes · copies made with --out are not known\n") and not (data / "receipts").exists()

    said, err = typed("forget", picture, "--reason", "a letter")
    assert said.startswith("done; refused for ever. Receipt ") and "patterns v1 to v2 are now without these" in said
    assert "is your own file and stays" in err and all(path.exists() for path in Path("films").iterdir())
    assert traces(patterns, data, video_id, title) == []
    gone = before - set(store.list())
    assert {key.split("/")[0] for key in gone} == {"shards"} and len(gone) == 1
    receipt = receipt_of(data)
    assert receipt["reason"] == "a letter" and receipt["videos"] == [video_id] and receipt["finished"]
    assert set(receipt["files"]) == gone and title not in json.dumps(receipt)  # type: ignore[arg-type]
    with patterns.transaction() as cursor:
        refused = cursor.execute("SELECT video_id, receipt FROM forgotten").fetchall()
    assert [tuple(row) for row in refused] == [(video_id, next((data / "receipts").iterdir()).name)]


def test_versions_stay_whole_without_the_video(patterns: Ledger, typed: Typed, tmp_path: Path) -> None:
    exported(typed, patterns)
    video_id, folder = video_of(patterns), tmp_path / "data" / "datasets" / "patterns"
    typed("forget", video_id)
    assert (folder / "latest").resolve().name == "v2" and not list(folder.rglob("*.html"))
    for version in (folder / "v1", folder / "v2"):
        images = {path.stem: path.parent.name for path in version.glob("images/*/*.jpg")}
        labels = {path.stem: path.parent.name for path in version.glob("labels/*/*.txt")}
        assert images == labels and images
        for path in version.glob("images/*/*.jpg"):
            Image.open(path).load()
        manifest = (version / "manifest.csv").read_text().splitlines()
        assert [line.split(",")[0] for line in manifest[1:]] == sorted(f"{stem}.jpg" for stem in images)
        summary = latest_version(folder) if version.name == "v2" else None
        found = json.loads((version / "version.json").read_text())
        boxes = [line for path in version.glob("labels/*/*.txt") for line in path.read_text().splitlines()]
        assert found["images"] == len(images) == found["train"] + found["val"]
        assert found["boxes"] == len(boxes) == sum(found["boxes_by_class"].values())
        assert found["background"] == sum(not path.read_text() for path in version.glob("labels/*/*.txt"))
        assert summary is None or summary.images == found["images"]
        for split in ("train", "val"):
            data = json.loads((version / "annotations" / f"instances_{split}.json").read_text())
            assert {Path(one["file_name"]).stem for one in data["images"]} == {
                s for s, side in images.items() if side == split
            }
            assert {one["image_id"] for one in data["annotations"]} <= {one["id"] for one in data["images"]}


def test_no_later_run_brings_it_back_and_its_doubles_take_its_place(
    patterns: Ledger, typed: Typed, tmp_path: Path
) -> None:
    exported(typed, patterns)
    video_id = video_of(patterns)
    title = title_of(patterns, video_id)
    typed("forget", video_id)
    mine_on(patterns)
    with patterns.transaction() as cursor:
        kept = cursor.execute(
            """SELECT DISTINCT video_id FROM project_frame JOIN project_segment USING (project_id, segment_id)
               WHERE is_kept"""
        )
        others = {row.video_id for row in kept}
        row = cursor.execute("SELECT reason, fetch_id FROM project_video WHERE video_id = %s", [video_id]).fetchone()
    assert video_id not in others and len(others) == 2
    assert row is not None and (row.reason, row.fetch_id) == ("forgotten", None)
    typed("export -p patterns")
    assert traces(patterns, tmp_path / "data", video_id, title) == []


@pytest.mark.parametrize("killed_in", ["Store.delete", "withdraw", "_cleaned", "_replace"])
def test_a_killed_command_is_finished_by_the_same_command(
    killed_in: str, patterns: Ledger, typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported(typed, patterns)
    video_id = video_of(patterns)
    title = title_of(patterns, video_id)
    picture = image_name(video_id, 0)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if killed_in == "Store.delete":
            patched.setattr(Store, "delete", killed)
        else:
            patched.setattr(withdrawal, killed_in, killed)
        typed("forget", picture, code=130)
    assert receipt_of(tmp_path / "data")["finished"] is None and traces(patterns, tmp_path / "data", video_id, title)
    said, _ = typed("forget", picture)
    assert "patterns v1 to v2 are now without these" in said
    assert traces(patterns, tmp_path / "data", video_id, title) == []
    receipt = receipt_of(tmp_path / "data")
    assert receipt["finished"] and receipt["rows"]["frames"] == 7  # type: ignore[index]
    again, _ = typed("forget", picture)
    assert again.startswith("forgotten before; nothing of it was left.")
    assert receipt_of(tmp_path / "data") == {**receipt, "finished": receipt_of(tmp_path / "data")["finished"]}


def test_killed_before_the_commit_nothing_is_counted_twice(
    patterns: Ledger, typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = rows_by_table(patterns)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("data_miner.ledger.forget.forget", killed)
        typed("forget", video_of(patterns), code=130)
    assert rows_by_table(patterns) == before
    typed("forget", video_of(patterns))
    assert receipt_of(tmp_path / "data")["rows"]["frames"] == 7  # type: ignore[index]


def test_a_worker_that_has_it_in_hand_can_commit_nothing_of_it(patterns: Ledger, typed: Typed) -> None:
    video_id = video_of(patterns)
    with patterns.transaction() as cursor:
        cursor.execute(
            'UPDATE segment SET shard = NULL FROM "fetch" f WHERE f.id = fetch_id AND f.video_id = %s', [video_id]
        )
        project = projects.find(cursor, "patterns")
        assert project is not None
        successors.derive(cursor, project.id)
        worker = jobs.uuid.uuid4()
        jobs.register_worker(cursor, worker, "test", {"host": "here", "pid": 1, "pid_started": 1.0})
        job = jobs.claim(cursor, "extract", "", worker)
    assert job is not None and job.video_id == video_id
    _, err = typed("forget", video_id)
    assert "a worker had it in hand" in err
    with pytest.raises(LeaseLostError), patterns.transaction() as cursor:
        jobs.lock(cursor, job)


def test_an_uploader_is_refused_under_the_names_that_are_his_alone(
    patterns: Ledger, typed: Typed, tmp_path: Path
) -> None:
    exported(typed, patterns)
    video_id = video_of(patterns)
    with patterns.transaction() as cursor:
        cursor.execute(
            """UPDATE video SET uploader = 'ACME Interiors', uploader_id = '@acme',
               extra = extra || '{"channel_id": "UCacme"}' WHERE id = %s""",
            [video_id],
        )
    typed("reject -p patterns", "--uploader", "@acme")
    dry, _ = typed("forget", "--uploader", "ACME Interiors", "--dry-run")
    assert dry.startswith("1 video · 7 frames")
    said, _ = typed("forget", "--uploader", "ACME Interiors")
    assert "-UCacme.json" in said
    with patterns.transaction() as cursor:
        theirs = VideoInfo("youtube:new", "https://x.org", "youtube", uploader="ACME Interiors", uploader_id="@acme")
        assert forget.is_refused(cursor, theirs)
        embedded = VideoInfo("generic:blog", "https://x.org", "x.org", uploader="ACME Interiors")  # of another
        assert not forget.is_refused(cursor, embedded) and forget.is_refused(cursor, embedded, video_id)
        rows = cursor.execute("SELECT video_id, uploader FROM forgotten ORDER BY 1, 2").fetchall()
        assert {tuple(row) for row in rows} == {(video_id, None), (None, "UCacme"), (None, "@acme")}
        assert not cursor.execute("SELECT FROM rejection").rowcount
        # A later find of his, under the handle alone.
        cursor.execute("UPDATE video SET uploader_id = '@acme' WHERE id <> %s AND metadata_at IS NOT NULL", [video_id])
        cursor.execute("UPDATE project_video SET judged = NULL")
    mine_on(patterns)
    with patterns.transaction() as cursor:
        reasons = [row.reason for row in cursor.execute("SELECT reason FROM project_video WHERE reason IS NOT NULL")]
    assert reasons == ["forgotten"] * 3
    # The same words again: nobody is called so any more, but the order is known; what was found since goes too.
    assert "done; refused for ever" in typed("forget", "--uploader", "ACME Interiors")[0]
    assert receipt_of(tmp_path / "data")["asked"] == "--uploader ACME Interiors"


def test_a_video_that_was_never_found_is_refused_beforehand(patterns: Ledger, typed: Typed) -> None:
    assert typed("forget", "https://youtu.be/3kX9f0aQbLs")[0].startswith("done; refused for ever.")
    with patterns.transaction() as cursor:
        assert [row.video_id for row in cursor.execute("SELECT video_id FROM forgotten")] == ["youtube:3kX9f0aQbLs"]


def test_what_cannot_be_is_one_line_and_changes_nothing(patterns: Ledger, typed: Typed) -> None:
    before = rows_by_table(patterns)
    assert "forget what?" in typed("forget", code=2)[1]
    assert "forget what?" in typed("forget", "a:b", "--uploader", "c", code=2)[1]
    assert "no video is called so" in typed("forget", "nothing", code=1)[1]
    assert "no uploader is called so" in typed("forget", "--uploader", "nobody", code=1)[1]
    assert rows_by_table(patterns) == before


def test_without_a_receipt_nothing_is_forgotten(patterns: Ledger, typed: Typed, tmp_path: Path) -> None:
    before = rows_by_table(patterns)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "receipts").write_text("in the way")
    _, err = typed("forget", video_of(patterns), code=1)
    assert "cannot be written" in err and err.count("\n") == 1 and rows_by_table(patterns) == before


def test_without_its_store_nothing_is_forgotten(
    patterns: Ledger, typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = rows_by_table(patterns)
    monkeypatch.setenv("DATA_MINER_STORE", str(tmp_path / "unmounted"))
    _, err = typed("forget", video_of(patterns), code=UnreachableError.exit_code)
    assert "has no id file" in err and rows_by_table(patterns) == before
