"""How fast each site may be asked: sites.yaml, one per installation, for all projects and all nodes.

The ledger keeps the tokens; here are only the numbers.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, model_validator

from data_miner.config.files import find, read_mapping, shown
from data_miner.config.origins import dotted, unknown
from data_miner.config.schema import Count, Section
from data_miner.config.settings import Settings
from data_miner.errors import ConfigError

_Seconds = Annotated[float, Field(strict=True, ge=0)]


class Pace(Section):
    """Waiting times of one site, named as yt-dlp's options. Defaults are those of an unknown site."""

    sleep_interval: _Seconds = 20.0  # s between two videos, whole cluster
    max_sleep_interval: _Seconds = 40.0  # the wait is drawn between the two
    sleep_requests: _Seconds = 1.0  # s between page requests
    max_downloads: Count | None = None  # a day
    trial_interval_s: Annotated[float, Field(strict=True, gt=0)] = 3600.0  # between two trial jobs of an open circuit
    broken_after: Count = 5  # videos in a row that fail alike open the circuit (DESIGN §4)

    @model_validator(mode="after")
    def _waits_are_a_range(self) -> "Pace":
        if self.max_sleep_interval < self.sleep_interval:
            raise ValueError("max_sleep_interval should not be below sleep_interval")
        return self


UNPACED = Pace(sleep_interval=0.0, max_sleep_interval=0.0, sleep_requests=0.0)


@dataclass(frozen=True, slots=True)
class Sites:
    """The paces of an installation, by yt-dlp's extractor family, or host[:port] for its generic one."""

    default: Pace = field(default_factory=Pace)
    named: Mapping[str, Pace] = field(default_factory=dict)
    path: Path | None = None

    def pace(self, site: str | None) -> Pace:
        """Pace of a site: by its name, by its host without port, none for this machine, else the default."""
        if site is None:
            return UNPACED
        host = _host(site.lower())
        for name in (site.lower(), host):
            if name in self.named:
                return self.named[name]
        return UNPACED if is_loopback(host) else self.default


def load_sites(settings: Settings) -> Sites:
    """Read the first sites.yaml of ./configs, DATA_MINER_CONFIGS and the packaged one. ConfigError."""
    path = find("sites.yaml", settings.configs)
    if path is None:
        return Sites()
    tree = {str(site).lower(): values for site, values in read_mapping(path).items()}
    default = _pace("default", tree.pop("default", None), Pace(), path)
    named = {}
    for site, values in tree.items():
        named[site] = _pace(site, values, UNPACED if is_loopback(_host(site)) else default, path)
    return Sites(default, named, path)


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _host(site: str) -> str:
    if site.startswith("["):
        return site.partition("]")[0] + "]"
    return site.partition(":")[0] if site.count(":") == 1 else site


def _pace(site: str, values: Any, fallback: Pace, path: Path) -> Pace:
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ConfigError(f"{shown(path)}: {site}: should be a section with keys of its own, got {values!r:.60}")
    for key in values:
        if key not in Pace.model_fields:
            known = [f"{site}.{name}" for name in Pace.model_fields]
            raise ConfigError(f"{shown(path)}: {unknown(f'{site}.{key}', known)}")
    given = dict(values)
    if "sleep_interval" in given and "max_sleep_interval" not in given:
        given["max_sleep_interval"] = given["sleep_interval"]  # as yt-dlp: a fixed wait
    try:
        return Pace.model_validate(fallback.model_dump() | given)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = dotted((site, *first["loc"]))
        message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
        raise ConfigError(f"{shown(path)}: {where}: {message}") from None
