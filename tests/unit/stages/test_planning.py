"""Which stages of a project can run here, and what their results are named by."""

from pathlib import Path
from typing import Any

import pytest

import pipelines
from data_miner.config.schema import ProjectConfig
from data_miner.errors import ModelError
from data_miner.sample.weights import DETECTOR, SCORER
from data_miner.stages.pipeline import plan_project

ABSENT = "org/not-here"


def config(scorer: str | None = str(SCORER), detector: str = str(DETECTOR), **filters: Any) -> ProjectConfig:
    return ProjectConfig.model_validate(
        {
            "classes": ["door"],
            "filter": {"model": scorer, "positive": ["a door"], **filters},
            "detect": {"model": detector},
        }
    )


def planned(config: ProjectConfig, pipeline: str = "mine", models: Path = Path("/nowhere")) -> dict[str, Any]:
    return plan_project(config, pipelines.load(pipeline), [models])


def keys(plan: dict[str, Any]) -> dict[str, str]:
    return {name: stage["key"] for name, stage in plan.items() if name not in ("stages", "missing")}


def test_with_all_models_here_every_stage_of_the_pipeline_runs() -> None:
    for name, left_out in (("mine", set()), ("ingest", {"filter", "dedup", "detect"})):
        plan = planned(config(), name)
        assert plan["missing"] == {}
        assert left_out.isdisjoint(plan["stages"]) and {"download", "extract"} <= set(plan["stages"])


def test_a_pipeline_changes_no_key() -> None:
    assert keys(planned(config())) == keys(planned(config(), "ingest"))


def test_stages_end_before_the_first_whose_model_is_not_here() -> None:
    plan = planned(config(scorer=ABSENT, detector="yolov8x-worldv2.pt"))
    assert plan["missing"] == {"filter": [ABSENT], "detect": ["yolov8x-worldv2.pt"]}
    assert plan["stages"][-1] == "extract"
    plan = planned(config(detector=ABSENT))
    assert plan["missing"] == {"detect": [ABSENT]}
    assert plan["stages"][-1] == "dedup"


def test_a_model_that_this_pipeline_does_not_open_is_not_missed() -> None:
    assert planned(config(scorer=ABSENT), "ingest")["missing"] == {}


def test_when_the_model_comes_only_what_it_makes_gets_another_name(tmp_path: Path) -> None:
    before = planned(config(scorer=ABSENT), models=tmp_path)
    (tmp_path / "org").mkdir()
    (tmp_path / ABSENT).symlink_to(SCORER)
    after = planned(config(scorer=ABSENT), models=tmp_path)
    assert after["missing"] == {} and after["stages"][-1] == "detect"
    assert {name for name, key in keys(after).items() if key != keys(before)[name]} == {"filter"}
    assert after["filter"]["key"] == planned(config())["filter"]["key"], "weights are named by content"


@pytest.mark.parametrize("name", ["best.pt", "weights/best.pt", "./org/model", "exports/door_openvino_model", "scorer"])
def test_a_path_that_is_not_there_is_an_error_at_once(name: str) -> None:
    with pytest.raises(ModelError, match="no such model"):
        planned(config(detector=name))


def test_thresholds_change_no_key_and_prompts_do() -> None:
    plain = planned(config())
    assert keys(planned(config(thresholds={"positive": 0.2}, min_sharpness=1.0))) == keys(plain)
    assert keys(planned(config(junk=["a cartoon"])))["filter"] != plain["filter"]["key"]
