"""Addresses as pages show them: without secrets. Opening at the second is tested with the manifest."""

import pytest

from data_miner.sources.links import plain_address


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("https://kim:secret@tube.example/watch?v=1#x", "https://tube.example/watch?v=1#x"),
        ("https://tube.example/@kim/videos", "https://tube.example/@kim/videos"),
        ("/home/kim/a@b.mp4", "/home/kim/a@b.mp4"),
        ("ytsearch40:glass @ door", "ytsearch40:glass @ door"),
        ("http://[broken@", "http://[broken@"),
    ],
)
def test_a_name_and_password_are_left_out(url: str, plain: str) -> None:
    assert plain_address(url) == plain
