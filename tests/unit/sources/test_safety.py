"""Refused places and safe names."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_miner.errors import NeverError
from data_miner.sources.safety import check_url, safe_name

NOTHING: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://localhost:8000/a.mp4",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://0.0.0.0/",
        "http://224.0.0.1/",
        "http://[::1]/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[2002:7f00:1::]/",
        "http://user@127.0.0.1/",
    ],
)
def test_private_addresses_are_refused_in_every_spelling(url: str) -> None:
    with pytest.raises(NeverError, match="private or reserved") as caught:
        check_url(url, NOTHING)
    assert caught.value.reason == "refused"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://8.8.8.8/a", "rtsp://8.8.8.8/a", "//8.8.8.8/", "nonsense", "http://"]
)
def test_only_http_is_fetched(url: str) -> None:
    with pytest.raises(NeverError, match="refused"):
        check_url(url, NOTHING)


@pytest.mark.parametrize("url", ["http://8.8.8.8/a.mp4", "https://[2606:4700:4700::1111]/", "http://1.1.1.1:8080/"])
def test_public_addresses_pass(url: str) -> None:
    check_url(url, NOTHING)


def test_a_name_that_does_not_resolve_is_no_refusal() -> None:
    check_url("https://no-such-host.invalid/", NOTHING)


def test_a_named_place_is_allowed_on_its_port_only() -> None:
    check_url("http://127.0.0.1:8000/", frozenset({"127.0.0.1:8000"}))
    check_url("http://127.0.0.1:9/", frozenset({"127.0.0.1"}))
    check_url("http://[::1]:8000/", frozenset({"[::1]:8000"}))
    with pytest.raises(NeverError):
        check_url("http://127.0.0.1:8001/", frozenset({"127.0.0.1:8000"}))


SAFE = set(string.ascii_letters + string.digits + "._-")


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=600), st.integers(32, 120))
def test_any_text_becomes_one_safe_part(text: str, limit: int) -> None:
    name = safe_name(text, limit)
    assert 0 < len(name) <= limit
    assert set(name) <= SAFE and not name.startswith(".")
    assert safe_name(name, limit) == name


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200))
def test_two_texts_never_meet_in_one_name(one: str, other: str) -> None:
    assert (safe_name(one, 40) == safe_name(other, 40)) == (one == other)


@pytest.mark.parametrize("text", ["../../etc/passwd", "x" * 500, "door 🚪", "two\nlines", "", "..", ".hidden"])
def test_what_had_to_change_carries_a_hash(text: str) -> None:
    assert safe_name(text, 40)[-13] == "-"
    assert safe_name(text, 40) != safe_name(text + "!", 40)
