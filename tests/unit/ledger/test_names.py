"""How names are read: no ledger is asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_miner.export.names import image_name
from data_miner.ledger.names import picture_of, readings, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("83", 83), ("83s", 83), ("1m23s", 83), ("1h2m3s", 3723), ("npt:83.5", 83), ("0:01:23", 83), ("1:23", 83)),
        *(("83,90", 83), ("0", 0), ("", None), ("soon", None), ("-5", None), ("9" * 40, None)),
    ],
)
def test_a_time_is_read_as_addresses_write_it(text: str, expected: int | None) -> None:
    assert seconds(text) == expected


@given(
    st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9_-]{1,40}", fullmatch=True),
    st.integers(0, 10**11),
)
def test_the_name_of_an_image_leads_back_to_its_video_and_time(site: str, native: str, pts_ms: int) -> None:
    name = image_name(f"{site}:{native}", pts_ms)
    for said in (name, name.removesuffix(".jpg"), f"some/where/{name}", name.replace(".jpg", "_jpg.rf.ab12.jpg")):
        found = [reading for reading in readings(said) if reading.pts_ms == pts_ms]
        assert found and f"{site}:{native}" in found[0].ids


@given(st.text(min_size=1, max_size=60), st.integers(0, 10**9))
def test_a_hostile_id_leaves_its_digest_in_the_name(native: str, pts_ms: int) -> None:
    video_id = f"Web.Site:{native}"
    split = picture_of(image_name(video_id, pts_ms))
    assert split is not None and split[1] == pts_ms
    assert [reading.digest for reading in readings(image_name(video_id, pts_ms))].count(split[0][-16:]) == 1


@given(st.text(max_size=200))
def test_no_text_breaks_the_reader(text: str) -> None:
    for said in (text, f"https://{text}", f"https://youtu.be/{text}", f"{text}_000001000.jpg"):
        assert all(reading.pts_ms is None or reading.pts_ms >= 0 for reading in readings(said))


def test_other_sites_that_end_like_youtube_are_not_youtube() -> None:
    assert readings("https://notyoutube.com/watch?v=3kX9f0aQbLs")[0].ids == ()
    assert readings("https://music.youtube.com/watch?v=3kX9f0aQbLs")[0].ids == ("youtube:3kX9f0aQbLs",)
