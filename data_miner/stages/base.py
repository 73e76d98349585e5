"""What a stage is. A stage knows its rows, pixels and numbers; it knows neither Ray nor how work is claimed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from data_miner.config.schema import ProjectConfig
from data_miner.config.sites import Sites
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.jobs import Job
from data_miner.models import registry
from data_miner.models.registry import ModelRef
from data_miner.records import key_of
from data_miner.store.artifacts import Store

Beat = Callable[[int], None]  # progress of the job in process: any number that grows while it moves


@dataclass(frozen=True, slots=True)
class Share:
    """What one actor of a stage asks Ray for. `gpus` counts only where there is a GPU; it is 1/n."""

    cpus: float
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Node:
    """What one worker process stands on. `scratch` is local to the node and survives the process."""

    ledger: Ledger
    store: Store
    scratch: Path
    models: Sequence[Path]  # folders in which model names are looked for
    paces: Sites
    device: str = "cpu"  # cpu | cuda:0
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What processing one job came to. Not given, not wanted and done are values with a reason word."""

    rows: Any = None  # what the stage's own save() writes
    reason: str = ""  # why nothing came of it; empty: something did
    items: int = 0  # videos, pictures, ...
    size_bytes: int = 0
    seconds: Mapping[str, float] = field(default_factory=dict)  # by step


@dataclass(frozen=True, slots=True)
class StagePlan:
    """How a project's configuration has a stage run. Stored in the ledger as `project.plan`."""

    key: str  # names results: code version, own parameters, model digest, key of the pixels read
    params: Mapping[str, Any]  # travels with each job: only decides
    runtime: Mapping[str, Any] = field(default_factory=dict)  # what must be loaded

    @property
    def missing_models(self) -> tuple[str, ...]:
        """Models that are not on this machine yet; until they are, no job of this stage is derived."""
        models = [self.runtime, *self.runtime.get("members", ())]
        models += [model["text"] for model in models if "text" in model]
        return tuple(dict.fromkeys(str(model["model"]) for model in models if model.get("digest") == ""))

    @property
    def runtime_key(self) -> str:
        """Jobs of one runtime key can be done by one open runner."""
        return key_of(**self.runtime) if self.runtime else ""

    def stored(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "key": self.key,
            "runtime_key": self.runtime_key,
            "params": dict(self.params),
            "runtime": dict(self.runtime),
        }


class Runner(Protocol):
    """An open stage: models loaded, ready for job after job."""

    def load(self, job: Job) -> Any:
        """Fetch what the job needs, rows and bytes; runs ahead, beside `process` of the job before."""
        ...

    def process(self, job: Job, work: Any, beat: Beat) -> Outcome:
        """Do the work, with no transaction open. Raises JobError."""
        ...

    def save(self, cursor: Cursor, job: Job, outcome: Outcome) -> None:
        """Write the rows, inside the transaction that finishes the job."""
        ...

    def close(self) -> None:
        """Give memory back."""
        ...


class Stage(Protocol):
    """A stage by its runtime: what must be loaded to do its jobs."""

    name: ClassVar[str]
    version: ClassVar[int]  # raise when the same input gives other results
    share: ClassVar[Share]

    @classmethod
    def plan(cls, config: ProjectConfig, upstream: Mapping[str, StagePlan], models: Sequence[Path]) -> StagePlan:
        """Say how this configuration has the stage run. Raises ModelError for a model that is not there."""
        ...

    @classmethod
    def from_runtime(cls, runtime: Mapping[str, Any]) -> "Stage":
        """Make the stage that a pool's runtime asks for."""
        ...

    def open(self, node: Node) -> Runner:
        """Load what must be loaded; heavy imports happen here."""
        ...


def model_at(node: Node, name: str, role: str) -> ModelRef:
    """Find a model on this node, or fetch it: on a cluster the driver's folder is not every node's. ModelError."""
    if node.models and registry.is_published(name) and registry.find(name, node.models) is None:
        from data_miner.models import hub

        hub.pull(name, node.models[0])
    return registry.check(name, role, node.models)


def model_of(name: str, role: str, models: Sequence[Path]) -> dict[str, str]:
    """Name and digest of a model, as they stand in a plan.

    The digest of a published model that is not on this machine is empty. Raises ModelError for a path that is
    not there and for what cannot play the role.
    """
    if registry.is_published(name) and registry.find(name, models) is None:
        return {"model": name, "digest": ""}
    return {"model": name, "digest": registry.digest(registry.check(name, role, models))}
