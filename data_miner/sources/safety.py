"""What the network may not do to us: lead to a private address, or write outside its folder.

The check at connect time, which redirects and rebinding names cannot pass, is in guard.py.
"""

import hashlib
import ipaddress
import re
import socket
from urllib.parse import urlsplit

from data_miner.errors import NeverError

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_DIGEST_LENGTH = 12  # hex digits: 48 bits, so that nobody finds two titles that meet by trying
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def safe_name(text: str, limit: int) -> str:
    """Turn any text into one path part of at most `limit` ASCII characters (32 or more is wise).

    What is safe already stays as it is; what had to change carries a hash of the original, so that two texts
    never meet in one name.
    """
    cleaned = _UNSAFE.sub("_", text).lstrip(".")
    if cleaned == text and 0 < len(text) <= limit:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    head = cleaned[: max(0, limit - _DIGEST_LENGTH - 1)].strip("._-")
    return f"{head or 'x'}-{digest}"[:limit]


def check_url(url: str, allow: frozenset[str]) -> None:
    """Raise NeverError("refused") unless the URL is http(s) and every address of its host is public.

    `allow` holds "host" or "host:port" of private places that a person named. A name that does not resolve
    passes: connecting to it fails as `network`, which is the truth.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise NeverError("refused", f"{_short(url)} is not a URL: {error}") from error
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise NeverError("refused", f"{_short(url)}: only http:// and https:// are fetched")
    port = port or (443 if parts.scheme.lower() == "https" else 80)
    if is_named(host, port, allow):
        return
    for address in _addresses_of(host):
        if not is_public(address):
            raise NeverError("refused", refusal(f"{host}:{port}", str(address)))


def refusal(where: str, address: str) -> str:
    """Say in one line why a place is refused and what to do."""
    at = "" if where.startswith(address) else f" ({address})"
    return f"{where}{at} is a private or reserved address; allow it by name if it is meant"


def is_named(host: str, port: int, allow: frozenset[str]) -> bool:
    """Tell whether a person allowed this host, on every port or on this one."""
    host = host.lower()
    bracketed = f"[{host}]" if ":" in host else host
    return not allow.isdisjoint((host, bracketed, f"{bracketed}:{port}"))


def is_public(address: Address) -> bool:
    """Tell whether an address is of the open internet; one that wraps an IPv4 address counts as that one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is not None:
            return is_public(inner)
    return address.is_global and not address.is_multicast


def _addresses_of(host: str) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ipaddress.ip_address(str(entry[4][0])) for entry in found]


def _short(url: str) -> str:
    return repr(url if len(url) <= 80 else url[:77] + "...")
