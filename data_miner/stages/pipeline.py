"""A pipeline: which stages run, in order, and what each of them needs under a project's configuration."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from data_miner.config.schema import ProjectConfig
from data_miner.stages.base import Share, Stage, StagePlan
from data_miner.stages.dedup import Dedup
from data_miner.stages.detect import Detect
from data_miner.stages.download import Download
from data_miner.stages.embed import Embed
from data_miner.stages.expand import Expand
from data_miner.stages.extract import Extract
from data_miner.stages.filter import Filter

STAGES: dict[str, type[Stage]] = {
    stage.name: stage for stage in (Expand, Download, Extract, Filter, Embed, Dedup, Detect)
}

_WANTED: dict[str, Callable[[ProjectConfig], bool]] = {  # stages that a project may do without
    "embed": lambda config: config.dedup.model is not None,
    "detect": lambda config: bool(config.detect.detectors),
}


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A named choice of stages, with Ray shares where they differ from the stages' own."""

    name: str
    stages: tuple[str, ...]
    shares: Mapping[str, Share] = field(default_factory=dict)

    def share(self, stage: str) -> Share:
        """What one actor of a stage asks Ray for."""
        return self.shares.get(stage, STAGES[stage].share)


def plan_project(config: ProjectConfig, pipeline: Pipeline, models: Sequence[Path]) -> dict[str, Any]:
    """Say how this configuration has every stage run, as stored in `project.plan`. Raises ModelError.

    All stages are planned, also those that this pipeline leaves to another run: keys must not depend on it.
    `stages` ends before the first whose model is not on this machine; `missing` names such models by stage.
    """
    plans: dict[str, StagePlan] = {}
    for name, stage in STAGES.items():
        if _WANTED.get(name, _always)(config):
            plans[name] = stage.plan(config, plans, models)
    wanted = [name for name in pipeline.stages if name in plans]
    missing = {name: list(plans[name].missing_models) for name in wanted if plans[name].missing_models}
    return {
        **{name: plan.stored() for name, plan in plans.items()},
        "stages": list(takewhile(lambda name: name not in missing, wanted)),
        "missing": missing,
    }


def _always(config: ProjectConfig) -> bool:
    return True
