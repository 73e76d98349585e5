"""A person speaks while workers work: no deadlock, no trace of what is forgotten, words win whenever they come."""

import random
import threading

from data_miner.ledger import forget, words
from data_miner.ledger.connection import Ledger
from tests.integration.ledger.test_turmoil import at_once, check_no_deadlock, worker
from tests.support.ledger import Miner, World, kept, register, rows, state_of

FORGOTTEN = ["tube:c", "tube:g"]
_OF_VIDEO = """SELECT FROM frame fr JOIN segment s ON s.id = fr.segment_id JOIN "fetch" f ON f.id = s.fetch_id
    WHERE f.video_id = ANY(%s) UNION ALL SELECT FROM "fetch" WHERE video_id = ANY(%s) AND path IS NOT NULL
    UNION ALL SELECT FROM project_segment WHERE video_id = ANY(%s)"""


def speak(ledger: Ledger, project_id: int, picture: words.Moment, *, is_undone: bool = False) -> None:
    """Reject a picture and a video, or take that back; put labels on another picture."""

    def work(cursor: words.Cursor) -> None:
        words.take_turn(cursor, project_id)
        change = words.take_back if is_undone else words.reject
        change(cursor, project_id, words.Meant([picture], ["tube:a"]))
        words.put_labels(cursor, project_id, {("tube:d", 5000): [("door", 0.1, 0.1, 0.4, 0.4)]})
        words.apply(cursor, project_id)

    ledger.with_retry(work, deadline_s=20)


def withdraw(ledger: Ledger, video_ids: list[str]) -> None:
    """The transaction of `forget`."""

    def work(cursor: words.Cursor) -> None:
        forget.take_turns(cursor, video_ids)
        forget.forget(cursor, video_ids, [], "receipt.json")

    ledger.with_retry(work, deadline_s=20)


def test_words_that_come_amid_the_work_give_what_they_give_after_it(database: Ledger, database_two: Ledger) -> None:
    world = World({"one": list("abcd"), "two": list("cdefg"), "three": list("agh")}, site="tube", seed=5)
    quiet, busy = (register(ledger, world, "p", positive=0.3) for ledger in (database, database_two))
    Miner(database, world).run()
    picture = next(moment for moment in kept(database, quiet) if moment[0] == "tube:b")
    pause, left = threading.Event(), [FORGOTTEN[:1], FORGOTTEN]

    def person(chance: random.Random) -> bool:
        speak(database_two, busy, picture, is_undone=chance.random() < 0.5)
        if not pause.wait(0.2) and left and chance.random() < 0.5:
            withdraw(database_two, left.pop(0))
        return bool(left)

    at_once([worker(database_two, world)] * 4 + [person])
    for ledger, project_id in ((database, quiet), (database_two, busy)):
        speak(ledger, project_id, picture)
        withdraw(ledger, FORGOTTEN)
        Miner(ledger, world).run()
        assert not rows(ledger, _OF_VIDEO, FORGOTTEN, FORGOTTEN, FORGOTTEN)
        assert not rows(ledger, "SELECT FROM job WHERE state NOT IN ('done', 'superseded')")
        shown = kept(ledger, project_id)
        assert not {video for video, _ in shown} & {"tube:a", *FORGOTTEN}
        assert picture not in shown and ("tube:d", 5000) in shown
    assert kept(database, quiet) == kept(database_two, busy)
    for part in ("videos", "segments", "frames"):
        assert state_of(database)[part] == state_of(database_two)[part], part
    check_no_deadlock(database_two)
