"""The description for machines, and the service held to it."""

import json
import subprocess
import sys
from pathlib import Path

from reelrank.domain.event import Event
from reelrank.serving.openapi import OPERATIONS, description
from serving.running_service import Service


def test_every_event_and_every_answer_is_described() -> None:
    schemas = description()["components"]["schemas"]
    assert {event.__name__ for event in Event.__args__} <= set(schemas)
    assert {"FeedAnswer", "WhyAnswer", "VideoAnswer", "Receipt", "ErrorAnswer"} <= set(schemas)


def test_every_reference_leads_somewhere() -> None:
    described = description()
    names = {part.partition('"')[0] for part in json.dumps(described).split("#/components/schemas/")[1:]}
    assert names - set(described["components"]["schemas"]) == set()


def test_every_route_is_described(shared: Service) -> None:
    routes = {path.replace(":path", "") for path in paths(shared)}
    assert {operation.path for operation in OPERATIONS} == routes - {"/", "/docs", "/openapi.json", "/page"}


def paths(service: Service) -> set[str]:
    app = service.server.config.app
    return {route.path for route in app.routes}  # pyright: ignore[reportAttributeAccessIssue, reportFunctionMemberAccess]


def test_the_parameters_of_the_feed_are_described_with_their_limits() -> None:
    parameters = {one["name"]: one for one in description()["paths"]["/v1/feed"]["get"]["parameters"]}
    assert parameters["user_id"]["required"] is True
    assert parameters["count"]["schema"] | {"description": ""} == {"type": "integer", "minimum": 1, "maximum": 50, "default": 10, "description": ""}
    assert parameters["exploration"]["schema"]["enum"] == ["off", "on"]


def test_the_service_does_what_its_description_says(shared: Service, tmp_path: Path) -> None:
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    options = f"--checks {checks} --max-examples 10 --phases fuzzing --seed 7 --suppress-health-check all --no-color"
    command = [Path(sys.executable).parent / "schemathesis", "run", shared.server.url + "/openapi.json", *options.split()]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-6_000:] + done.stderr[-2_000:]
