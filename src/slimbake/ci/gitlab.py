"""The child pipeline of GitLab: the jobs that the generated .gitlab-ci.yml lays out, each as often
as the plan has it.

Pure. The result is JSON, which is YAML: no text in it can be anything but a text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from slimbake.ci.matrix import Matrix

STAGES = ("bases", "services", "merge", "summary")


def child(parent: Mapping[str, Any], matrix: Matrix) -> str:
    """The child pipeline. `parent`: what .gitlab-ci.yml says. Its last job is always there: a
    pipeline needs one.
    """
    laid_out = {name: job for name, job in parent.items() if name.startswith(".")}
    made: dict[str, Any] = {"stages": list(STAGES), "variables": parent["variables"], **laid_out}
    for base in matrix["bases"]["include"]:
        made[f"check ({base['lane']})"] = _job(
            "check", base, {"SERVICES": base["services"], "RECORD": base["lane"]}
        )
        if ".bases" in laid_out:
            made[f"bases ({base['lane']})"] = _job("bases", base, {"SERVICES": base["services"]})
    for job in matrix["services"]["include"] if ".services" in laid_out else ():
        # The stage has jobs of other lanes too: this one waits for its own bases alone.
        needs = {"needs": [f"bases ({job['lane']})"]}
        said = _job("services", job, {"SERVICES": job["services"], "RECORD": job["id"]})
        made[f"bake {job['name']} ({job['lane']})"] = {**said, **needs}
    if matrix["unchanged"] and ".unchanged" in laid_out:
        made["unchanged"] = {
            "extends": ".unchanged",
            "variables": {"SERVICES": matrix["unchanged"]},
        }
    if matrix["merges"] and ".merge" in laid_out:
        made["merge"] = {"extends": ".merge", "variables": {"MERGES": " ".join(matrix["merges"])}}
    made["summary"] = {
        "extends": ".summary",
        "variables": {"MATRIX": {"value": _short(matrix), "expand": False}},
    }
    return json.dumps(made, indent=1)


def _job(kind: str, of: Any, variables: Mapping[str, str]) -> dict[str, Any]:
    only = {"PLATFORM": of["platform"]} if of["platform"] else {}
    job = {"extends": f".{kind}", "variables": {**variables, "LANE": of["lane"], **only}}
    return {**job, "tags": [of["runner"]]} if of["runner"] else job


def _short(matrix: Matrix) -> str:
    """What the summary reads of a matrix: a variable holds no more than 128 KiB."""
    jobs = [{"services": job["services"]} for job in matrix["services"]["include"]]
    return json.dumps(
        {"services": {"include": jobs}, "unchanged": matrix["unchanged"]}, separators=(",", ":")
    )
