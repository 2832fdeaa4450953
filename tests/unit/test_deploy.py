"""What ships for those who run the server names metrics that there are."""

import json
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import generate_latest

from app.metrics import Levels, Metrics
from app.metrics.levels import NAMES

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = re.compile(r"\bchatkit_\w+")


def known() -> set[str]:
    """Return the names of all series that the server tells, with values and before there are any."""
    metrics = Metrics()
    Levels(metrics.registry, dict.fromkeys(NAMES, lambda: 0.0))
    metrics.request_ended("GET", "/", 200, 0.1)
    metrics.turn_ended("done", 0.1, 0.1)
    metrics.statement_ended("any", 0.1, 1, "done")
    return set(NAME.findall(generate_latest(metrics.registry).decode()))


def expressions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    dashboard = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
    found = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    return found + [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_alerts_and_dashboard_name_metrics_that_there_are(expression: str) -> None:
    named = set(NAME.findall(expression))
    assert named
    assert named <= known()


def test_every_metric_is_looked_at() -> None:
    part = re.compile(r"_(bucket|count|sum)$")
    shown = {part.sub("", name) for text in expressions() for name in NAME.findall(text)}
    there = {part.sub("", name) for name in known() if not name.endswith("_created")}
    assert there <= shown
