"""One `run` of one project: register, work, write the dataset, say how it ended. Flags are read in commands/run."""

import json
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

import click

from data_miner.cli import summary
from data_miner.cli.invocation import Invocation
from data_miner.cli.live import Progress
from data_miner.cli.premises import open_place, surely
from data_miner.cli.preparation import Prepared, keep_known, missing_models, paused, register
from data_miner.cli.room import Room
from data_miner.config.settings import Settings
from data_miner.engine.workplace import Workplace
from data_miner.ledger import projects, status
from data_miner.ledger.connection import Cursor, Ledger
from data_miner.ledger.embedded import EmbeddedPostgres
from data_miner.observe import logs

T = TypeVar("T")

DONE, DEAD_LEFT, WAITS_FOR_SITE, INTERRUPTED = 0, 3, 6, 130


class Mining:
    """One run of one project."""

    def __init__(
        self,
        invocation: Invocation,
        settings: Settings,
        pipeline: Any,
        ledger: Ledger,
        server: EmbeddedPostgres | None,
        flags: dict[str, Any],
        started: float,
    ) -> None:
        self._invocation, self._settings, self._pipeline = invocation, settings, pipeline
        self._ledger, self._server, self._flags, self._started = ledger, server, flags, started

    def run(self, own: Any, config: Any) -> int:
        """Register, work, write, report; returns the exit code."""
        place = open_place("run", self._settings, self._ledger, self._server, self._flags, self._invocation.verbosity)
        self._surely(lambda: keep_known(config, self._ledger, place.store))
        prepared = self._surely(
            lambda: self._ledger.with_retry(lambda cursor: register(cursor, own, config, place.paces), deadline_s=2)
        )
        with logs.bound(project=prepared.name):
            for change in prepared.changes:
                self._say(f"config     {change}")
            for stage, models in prepared.plan["missing"].items():
                names = " and ".join(models)
                self._say(f"{stage:<11}waits for {names}, not on this machine; what needs none goes on")
            ending = None
            if self._surely(lambda: self._has_work(prepared)):
                ending = self._work(prepared, place)
            return self._surely(lambda: self._end(prepared, place.store, ending))

    def _surely(self, act: Callable[[], T]) -> T:
        return surely(self._server, act)

    def _has_work(self, prepared: Prepared) -> bool:
        with self._ledger.transaction() as cursor:
            left = status.progress(cursor, prepared.project_id)
        return not left.is_settled or left.blocked > 0

    def _work(self, prepared: Prepared, place: Workplace) -> Any:
        from data_miner.engine.cluster import RayCluster
        from data_miner.engine.session import Session
        from data_miner.engine.supervisor import Supervisor
        from data_miner.sample.home import SampleHome

        settings, videos = self._settings, prepared.config.sources.sample
        supervisor = Supervisor(place, self._pipeline, RayCluster(place.machine, settings.ray_address))
        if videos:
            self._say(f"{prepared.name} · {videos} rendered videos; the first time they are made, some 20 s")
        serving = SampleHome(settings.sample).serving(videos) if videos else nullcontext(None)
        progress = Progress(
            prepared.project_id,
            prepared.name,
            self._invocation.verbosity < 0,
            lambda: summary.header(prepared, place.machine, settings, supervisor.dashboard),
        )

        room = Room(settings, place.store, progress.say)

        def show(cursor: Cursor) -> None:
            if supervisor.dashboard or not supervisor.is_leading:  # once, when its address is known
                progress.announce()
            progress.show(cursor)
            room.look(cursor)

        with serving, progress:
            session = Session(
                place,
                supervisor,
                prepared.project_id,
                prepared.config_hash,
                prepared.plan,
                revive=self._server.ensure if self._server is not None else None,
                on_progress=show,
                on_waiting=lambda cursor: self._wait(cursor, prepared, place.store, progress),
                is_waiting_allowed=not self._flags["no_wait"],
            )
            return session.run()

    def _wait(self, cursor: Cursor, prepared: Prepared, store: Any, progress: Progress) -> None:
        """Only a shut site is left: write what is done, and say who is waited for."""
        self._dataset(prepared, store)
        for row in status.waits_for(cursor, prepared.project_id):
            progress.say(summary.waiting_line(row))

    def _dataset(self, prepared: Prepared, store: Any) -> Any:
        from data_miner.cli.commands.report import beside
        from data_miner.export.dataset import write_dataset

        with self._ledger.transaction() as cursor:
            row = projects.find(cursor, prepared.name)
        return write_dataset(self._ledger, row, store, self._settings.datasets, beside=beside(self._ledger, row, store))

    def _end(self, prepared: Prepared, store: Any, ending: Any) -> int:
        is_interrupted = ending is not None and ending.is_interrupted
        if not is_interrupted and "detect" in prepared.plan["stages"]:
            self._dataset(prepared, store)
        with self._ledger.transaction() as cursor:
            row = projects.find(cursor, prepared.name)
            found = summary.status_of(cursor, row, self._settings)
            waits = status.waits_for(cursor, prepared.project_id)
            left = status.progress(cursor, prepared.project_id)
            lines = summary.lines(
                cursor, row, found, seconds=time.monotonic() - self._started, has_worked=ending is not None
            )
        if self._flags["as_json"]:
            print(json.dumps(found))
        elif self._invocation.verbosity >= 0:
            print("\n".join(lines))
        for site in waits:
            self._say(summary.waiting_line(site))
        sys.stdout.flush()
        if is_interrupted:
            return INTERRUPTED
        if left.blocked:
            return WAITS_FOR_SITE
        if left.is_paused:  # in the middle, under --no-wait
            raise paused(prepared.name)
        missing = missing_models(prepared.plan, self._settings)
        if missing is not None:
            raise missing
        return DEAD_LEFT if left.dead else DONE

    def _say(self, line: str) -> None:
        if self._invocation.verbosity >= 0:
            click.echo(line, err=True)
