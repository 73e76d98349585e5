"""Messages of yt-dlp and their reason words. The texts are the sites' and yt-dlp's own."""

import errno
import pickle

import pytest

from data_miner.errors import LaterError, NeverError, SiteError, SuspectError
from data_miner.sources.base import Skipped
from data_miner.sources.faults import classify, detail_of, is_blocked, is_bot_page


@pytest.mark.parametrize(
    ("message", "kind", "reason"),
    [
        ("Video unavailable. This video has been removed by the uploader", Skipped, "gone"),
        (
            "Video unavailable. This video is no longer available because the account was terminated",
            Skipped,
            "gone",
        ),
        ("Video unavailable", Skipped, "gone"),
        ("HTTP Error 404: Not Found", Skipped, "gone"),
        ("HTTP Error 410: Gone", Skipped, "gone"),
        ("Private video. Sign in if you've been granted access to this video", Skipped, "private"),
        ("Video unavailable. This video is private", Skipped, "private"),
        ("This video is only available for registered users", Skipped, "private"),
        ("Join this channel to get access to members-only content", Skipped, "members_only"),
        ("This video is available to this channel's members on level: Gold", Skipped, "members_only"),
        ("This video requires payment to watch", Skipped, "members_only"),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", Skipped, "age"),
        ("The uploader has not made this video available in your country", Skipped, "geo"),
        ("Video unavailable. It contains content from X, who has blocked it in your country", Skipped, "geo"),
        ("This video is not available from your location due to geo restriction", Skipped, "geo"),
        ("HTTP Error 451: Unavailable For Legal Reasons", Skipped, "geo"),
        ("Premieres in 3 hours", Skipped, "live"),
        ("This live event will begin in 2 days.", Skipped, "live"),
        ("Sign in to confirm you’re not a bot. This helps protect our community", SiteError, "bot_check"),
        ("Sign in to confirm you're not a bot", SiteError, "bot_check"),
        ("Got HTTP Error 403 caused by Cloudflare anti-bot challenge", SiteError, "bot_check"),
        ("YouTube is requiring a captcha challenge before playback", SiteError, "bot_check"),
        ("HTTP Error 429: Too Many Requests", SiteError, "rate_limited"),
        (
            "Requested content is not available, rate-limit reached or login required",
            SiteError,
            "rate_limited",
        ),
        (
            "Video unavailable. This content isn't available, try again later. The current session has been"
            " rate-limited by YouTube for up to an hour.",
            SuspectError,
            "rate_limited",
        ),
        ("This content isn’t available, try again later", SuspectError, "rate_limited"),
        ("HTTP Error 403: Forbidden", SuspectError, "extractor_broken"),
        ("Requested format is not available. Use --list-formats", SuspectError, "extractor_broken"),
        ("No video formats found!; please report this issue on …", SuspectError, "extractor_broken"),
        ("Only images are available for download", SuspectError, "extractor_broken"),
        ("Signature extraction failed: Some formats may be missing", SuspectError, "extractor_broken"),
        ("Unable to extract initial player response", SuspectError, "extractor_broken"),
        ("The following content is not available on this app.", SuspectError, "extractor_broken"),
        ("a message that nobody has seen before", SuspectError, "extractor_broken"),
        ("HTTP Error 503: Service Temporarily Unavailable", LaterError, "network"),
        ("Failed to resolve 'www.youtube.com' ([Errno -2] Name or service not known)", LaterError, "network"),
        ("The read operation timed out", LaterError, "network"),
        ("[Errno 111] Connection refused", LaterError, "network"),
        ("7000 bytes read, 3000 more expected", LaterError, "network"),
        ("We're processing this video. Check back later.", LaterError, "network"),
        ("unable to write data: [Errno 28] No space left on device", LaterError, "disk_full"),
        ("Unsupported URL: https://example.org/", NeverError, "unreadable"),
        ("This video is DRM protected", NeverError, "unreadable"),
    ],
)
def test_a_message_has_its_reason_and_its_rule(message: str, kind: type[Exception], reason: str) -> None:
    outcome = classify(f"ERROR: [youtube] 3kX9f0aQbLs: {message}")
    assert (type(outcome), outcome.reason) == (kind, reason)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 521])
def test_a_broken_server_is_network(status: int) -> None:
    assert isinstance(classify("whatever it says", status), LaterError)


def test_a_full_disk_is_known_by_its_number() -> None:
    outcome = classify(OSError(errno.ENOSPC, "kein Platz"))
    assert isinstance(outcome, LaterError) and outcome.reason == "disk_full"


def test_the_words_of_an_id_or_a_url_mean_nothing() -> None:
    from yt_dlp.utils import ExtractorError, UnsupportedError

    named = ExtractorError("Unable to extract title", video_id="private-captcha-404", ie="Evil")
    assert classify(named).reason == "extractor_broken"
    assert classify(UnsupportedError("https://example.org/private/captcha")).reason == "unreadable"


def test_the_detail_is_one_short_line_without_noise() -> None:
    text = "ERROR: [generic] a clip: Something\n odd; please report this issue on  https://x , filling out …"
    assert detail_of(text) == "a clip: Something odd"
    assert len(detail_of("x" * 5000)) == 300


def test_reasons_travel_between_processes() -> None:
    for outcome in (Skipped("gone", "why"), classify("HTTP Error 429")):
        copy = pickle.loads(pickle.dumps(outcome))
        assert (type(copy), copy.reason, copy.detail) == (type(outcome), outcome.reason, outcome.detail)


def test_a_page_that_asks_for_a_human_is_told_from_one_that_loads_a_captcha() -> None:
    assert is_bot_page("<p>Sign in to confirm you’re not a bot.</p>")
    assert is_bot_page("<h1>Our systems have detected unusual traffic</h1>")
    assert not is_bot_page("<script>captcha('are you a human')</script><form>Comment</form>")


def test_a_refused_page_is_told_from_an_empty_answer() -> None:
    assert is_blocked("[youtube:search] Unable to download API page: HTTP Error 429: Too Many Requests")
    assert is_blocked("Unable to download API page: HTTP Error 403: Forbidden")
    assert not is_blocked("Falling back on generic information extractor")
