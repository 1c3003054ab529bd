"""Layers that slimbake finds, from the command line: what is locked, what moves, what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.index import Index
from tests.lock.conftest import Repo
from tests.wheels import make_wheel

from slimbake.console import QUIET
from slimbake.errors import StaleFiles
from slimbake.host.machine import machine
from slimbake.lock.locks import locked_pins
from slimbake.plan.model import Plan
from slimbake.project import Project, load
from slimbake.release.site import regenerated, relocked


@pytest.fixture(autouse=True)
def packages(index: Index) -> None:
    """A framework and a tool that need a core, and what only one service asks for."""
    for version in ("1", "2"):
        index.add("core", version)
    index.add("frame", "1", ["core"])
    index.add("tool", "1", ["core", "leaf"])
    for name in ("leaf", "extra", "other"):
        index.add(name, "1")


# layers for packages: what is shared, and a service's own
ONE, TWO = "layers: {limit: 4}\n", "layers: {limit: 5}\n"


def services(repo: Repo, head: str = TWO, **asked: str) -> None:
    """A fleet without bases; of each service its requirements as a YAML list, and further keys
    behind a `;`.
    """
    lines = [f"{head}services:{'' if asked else ' {}'}\n"]
    for name, said in asked.items():
        requirements, _, more = said.partition(";")
        lines.append(
            f"  {name}: {{context: {name}, requirements: {requirements}{more}, start: none}}\n"
        )
    repo.write("".join(lines), {f"{name}/app.py": "" for name in asked})


def found(repo: Repo) -> Any:
    return json.loads(repo.locked()["layers.json"])


def on_the_way(repo: Repo, service: str) -> dict[str, list[str]]:
    """The layers of a service, bottom first: the lock's name -> what it pins."""
    layers = found(repo)
    chain, base = [service], layers["services"][service]["on"]
    while base:
        chain.insert(0, f"base-{base}")
        base = layers["bases"][base]["on"]
    return {
        name: repo.pins(name) for name in chain if (repo.root / f"bake/locks/{name}.txt").is_file()
    }


def closure(repo: Repo, service: str) -> list[str]:
    return sorted(pin for pins in on_the_way(repo, service).values() for pin in pins)


def project(repo: Repo) -> Project:
    return load(repo.root / "services.yaml")


def bake(repo: Repo) -> Plan:
    """The part of a bake that locks what is new, and refuses what is stale; no engine is asked."""
    return regenerated(relocked(project(repo), machine(), QUIET), QUIET).plan


# --- what is found


def test_each_service_has_its_own_closure_and_what_is_shared_lies_in_a_base(repo: Repo) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]", bare="[]")
    done = repo.run("lock")
    assert done.code == 0, done.stderr
    assert sorted(repo.locked()) == [
        "api.txt",
        "base-frame.txt",
        "externals.txt",
        "inputs.json",
        "layers.json",
        "work.txt",
    ]
    assert repo.pins("base-frame") == ["core==2", "frame==1"]
    assert closure(repo, "api") == ["core==2", "extra==1", "frame==1"]
    assert closure(repo, "work") == ["core==2", "frame==1", "leaf==1", "tool==1"]
    assert repo.run("lock", "--check").code == 0


def test_the_file_of_layers_has_a_line_for_each_base_and_each_service(repo: Repo) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]")
    assert repo.run("lock").code == 0
    assert repo.locked()["layers.json"].splitlines() == [
        "{",
        ' "bases": {',
        '  "frame": {"on": "", "holds": ["core", "frame"]}',
        " },",
        ' "services": {',
        '  "api": {"on": "frame", "holds": [["extra"]]},',
        '  "work": {"on": "frame", "holds": [["leaf", "tool"]]}',
        " }",
        "}",
    ]


def test_none_leaves_every_service_alone_and_no_file_of_layers(repo: Repo) -> None:
    services(repo, "layers: none\n", api="[frame]", work="[frame]")
    assert repo.run("lock").code == 0
    assert sorted(repo.locked()) == ["api.txt", "externals.txt", "inputs.json", "work.txt"]
    assert repo.pins("api") == repo.pins("work") == ["core==2", "frame==1"]


def test_a_package_is_explained_by_who_needs_it(repo: Repo) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]", thin="[frame]")
    assert repo.run("lock").code == 0
    assert repo.run("why", "core").stdout == "core 2 in base-frame\n  frame -> core\n"
    assert repo.run("why", "leaf").stdout == "leaf 1 in work\n  tool -> leaf\n"


def test_the_layers_of_a_fleet_of_found_ones_are_shown(repo: Repo) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]")
    done = repo.run("layers")
    assert done.code == 4 and done.stderr == (
        "slimbake: not locked yet: the packages of api, work; which layers services share;"
        " the digests of the base images\n"
        "  run `slimbake lock`: it writes them into bake/locks/, which you review and commit\n"
    )
    assert repo.run("lock").code == 0
    done = repo.run("layers")
    assert done.code == 0, done.stderr
    assert (
        "as bake/locks/layers.json has them" in done.stdout
        and "as the planner would lay them:" not in done.stdout
    )


# --- what changes


def test_a_new_service_is_locked_by_a_bake_and_moves_no_layer(repo: Repo) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]")
    assert repo.run("lock").code == 0
    before = repo.locked()
    services(repo, api="[frame, extra]", work="[tool, frame]", third="[frame, other]")
    made = bake(repo)
    after = repo.locked()
    changed = {name for name in after if after[name] != before.get(name)}
    assert changed == {"inputs.json", "layers.json", "third.txt"}
    assert before.keys() <= after.keys()
    assert closure(repo, "third") == ["core==2", "frame==1", "other==1"]
    assert "base-frame" in made.target("third").needs
    assert repo.run("lock", "--check").code == 0


def test_a_new_service_that_shares_what_one_had_alone_is_locked_by_a_bake_too(repo: Repo) -> None:
    services(repo, ONE, api="[frame]", work="[leaf]")
    assert repo.run("lock").code == 0
    assert found(repo)["bases"] == {}
    services(repo, ONE, api="[frame]", work="[leaf]", third="[frame]")
    bake(repo)
    assert repo.pins("base-frame") == ["core==2", "frame==1"]
    assert (repo.pins("api"), repo.pins("third"), repo.pins("work")) == ([], [], ["leaf==1"])
    assert repo.run("lock", "--check").code == 0


def test_a_service_that_is_gone_moves_no_layer_and_leaves_nothing_behind(repo: Repo) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]", third="[frame, other]")
    assert repo.run("lock").code == 0
    before, asked = repo.locked(), len(repo.index.asked)
    services(repo, api="[frame, extra]", work="[tool, frame]")
    assert repo.run("lock", "--check").code == 0
    assert repo.run("lock").code == 0
    after = repo.locked()
    assert before.keys() - after.keys() == {"third.txt"}
    assert {name for name in after if after[name] != before[name]} == {"inputs.json", "layers.json"}
    assert "third" not in after["layers.json"] and "third" not in after["inputs.json"]
    assert len(repo.index.asked) == asked
    assert repo.run("lock").stdout == "the locks are fresh\n"


def test_a_base_that_nobody_stands_on_any_more_goes_with_its_services(repo: Repo) -> None:
    services(repo, ONE, a="[frame]", b="[frame]", c="[leaf]", d="[leaf]")
    assert repo.run("lock").code == 0
    assert set(found(repo)["bases"]) == {"frame", "leaf"}
    services(repo, ONE, a="[frame]", b="[frame]")
    assert [target.name for target in project(repo).plan.targets] == [
        "inside",
        "runtime",
        "base-frame",
        "a",
        "b",
        *(f"{name}-inventory" for name in ("base-frame", "a", "b")),
    ]
    assert repo.run("lock").code == 0
    assert set(found(repo)["bases"]) == {"frame"} and "base-leaf.txt" not in repo.locked()


def test_a_service_that_asks_for_nothing_any_more_has_nothing(repo: Repo) -> None:
    services(repo, ONE, a="[frame]", b="[frame]")
    assert repo.run("lock").code == 0
    services(repo, ONE, a="[frame]", b="[]")
    made = project(repo).plan
    assert made.target("b").needs == ("inside", "runtime")
    assert repo.run("lock").code == 0
    assert "b.txt" not in repo.locked() and set(found(repo)["services"]) == {"a"}


def test_what_a_newer_index_has_moves_nothing_until_it_is_asked_for(
    repo: Repo, index: Index
) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]")
    assert repo.run("lock").code == 0
    for name in ("core", "leaf"):
        index.add(name, "3")
    services(repo, api="[frame, extra]", work="[tool, frame]", third="[other]")
    assert repo.run("lock").code == 0
    assert (repo.pins("base-frame"), repo.pins("work")) == (
        ["core==2", "frame==1"],
        ["leaf==1", "tool==1"],
    )
    done = repo.run("lock", "--upgrade", "core")
    assert sorted(done.stdout.split()) == ["bake/locks/base-frame.txt", "bake/locks/inputs.json"]
    assert (repo.pins("base-frame"), repo.pins("work")) == (
        ["core==3", "frame==1"],
        ["leaf==1", "tool==1"],
    )


# --- weights

MODELS = {f"models/{name}/model.bin": name * 100_000 for name in ("old", "new")}
OLD, NEW = "weights: {path: models/old}", "weights: {path: models/new}"


@pytest.mark.parametrize("asked", ["[]", "[extra]"])
def test_other_weights_of_a_service_that_shares_some_are_refused_until_its_layers_are_found_again(
    asked: str, repo: Repo
) -> None:
    services(repo, a=f"[frame];, {OLD}", b=f"{asked};, {OLD}")
    for path, content in MODELS.items():
        (repo.root / path).parent.mkdir(parents=True)
        (repo.root / path).write_text(content)
    assert repo.run("lock").code == 0
    (base,) = (name for name in found(repo)["bases"] if name.startswith("weights-"))
    assert found(repo)["services"]["b"]["on"] == base
    services(repo, a=f"[frame];, {OLD}", b=f"{asked};, {NEW}")
    with pytest.raises(StaleFiles, match="what b asks for has changed"):
        bake(repo)
    assert repo.run("lock").code == 0
    made = bake(repo)
    assert [name for name in made.target("b").needs if name.startswith("weights-")] == [
        "weights-models-new"
    ]
    assert not any("models-old" in target.name for target in made.needed(("b",)))


def test_weights_that_are_called_otherwise_now_are_locked_again(repo: Repo) -> None:
    # Two whose names would be the same have a longer one, until one of them goes.
    one, other = "weights: {path: models/small-en}", "weights: {path: models/small.en}"
    for folder in ("small-en", "small.en"):
        (repo.root / "models" / folder).mkdir(parents=True)
        (repo.root / "models" / folder / "model.bin").write_text(folder)
    services(repo, a=f"[frame];, {one}", b=f"[leaf];, {other}")
    assert repo.run("lock").code == 0
    services(repo, a=f"[frame];, {one}")
    assert "what a asks for has changed" in repo.run("lock", "--check").stderr
    assert repo.run("lock").code == 0
    assert sorted(project(repo).fleet.service("a").layer.asks.specs) == ["core", "frame"]
    assert repo.run("lock", "--check").code == 0


def test_weights_alone_need_no_layers_to_be_found(repo: Repo) -> None:
    services(repo, a=f"[];, {OLD}", b=f"[];, {OLD}")
    (repo.root / "models/old").mkdir(parents=True)
    (repo.root / "models/old/model.bin").write_text("x")
    assert repo.run("lock").code == 0
    assert sorted(repo.locked()) == ["externals.txt", "inputs.json", "weights-models-old.txt"]


# --- to and from layers of another kind

HAND = """\
bases:
  web: {requirements: [frame]}
services:
  api: {context: api, base: web, requirements: [extra]}
  work: {context: work, base: web, requirements: [tool]}
"""


def test_one_service_each_and_shared_are_different_questions(repo: Repo) -> None:
    services(repo, api="[frame, extra]", work="[frame]")
    assert repo.run("lock").code == 0
    services(repo, "layers: none\n", api="[frame, extra]", work="[frame]")
    # its lock holds what a base leaves of it
    with pytest.raises(StaleFiles, match=r"api asks for [^\n]*\n  what work asks for "):
        bake(repo)
    assert repo.run("lock").code == 0
    assert repo.pins("api") == ["core==2", "extra==1", "frame==1"]
    assert "base-frame.txt" not in repo.locked() and "layers.json" not in repo.locked()
    services(repo, api="[frame, extra]", work="[frame]")
    with pytest.raises(StaleFiles):
        bake(repo)


def test_versions_stay_on_the_way_to_hand_written_bases_and_back(repo: Repo, index: Index) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]")
    assert repo.run("lock").code == 0
    for name in ("core", "frame", "leaf", "tool", "extra"):
        index.add(name, "9", ["leaf"] if name == "tool" else [])
    repo.write(HAND)
    assert repo.run("lock").code == 0
    assert (repo.pins("base-web"), repo.pins("work")) == (
        ["core==2", "frame==1"],
        ["leaf==1", "tool==1"],
    )
    assert "layers.json" not in repo.locked() and "base-frame.txt" not in repo.locked()
    services(repo, api="[frame, extra]", work="[tool, frame]")
    assert repo.run("lock").code == 0
    assert (repo.pins("base-frame"), repo.pins("work")) == (
        ["core==2", "frame==1"],
        ["leaf==1", "tool==1"],
    )
    assert "base-web.txt" not in repo.locked()
    services(repo, "layers: none\n", api="[frame, extra]", work="[tool, frame]")
    assert repo.run("lock").code == 0
    assert repo.pins("work") == ["core==2", "frame==1", "leaf==1", "tool==1"]


# --- what is refused


def test_two_services_that_conflict_are_an_error_in_uv_s_words(repo: Repo, index: Index) -> None:
    index.add("left", "1", ["core<2"])
    index.add("right", "1", ["core>=2"])
    services(repo, a="[left]", b="[right]", c="[extra]")
    done = repo.run("lock")
    assert (done.code, done.stdout) == (2, "")
    assert "slimbake: no solution for a, b, c, which share versions" in done.stderr
    assert "left depend on core<2" in done.stderr.replace("\n", " ")


def test_a_limit_that_no_plan_keeps_is_reported_with_what_it_has_to_hold(repo: Repo) -> None:
    services(repo, "layers: {limit: 4}\n", a=f"[frame];, {OLD}", b="[leaf]")
    (repo.root / "models/old").mkdir(parents=True)
    (repo.root / "models/old/model.bin").write_text("x")
    done = repo.run("lock")
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-2:] == [
        "slimbake: layers: {limit: 4} is too few: no plan has at most 1 layers for items",
        (
            "  raise the limit: the runtime has two layers, the code one, weights and packages one"
            " each at least"
        ),
    ]
    services(repo, "layers: {limit: 5}\n", a=f"[frame];, {OLD}", b="[leaf]")
    assert repo.run("lock").code == 0


def test_another_limit_makes_the_layers_stale(repo: Repo) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]")
    assert repo.run("lock").code == 0
    services(repo, ONE, api="[frame, extra]", work="[tool, frame]")
    done = repo.run("lock", "--check")
    assert done.code == 4
    assert "out of date: the `layers` that slimbake may make have changed\n" in done.stderr
    assert repo.run("lock").code == 0
    # one layer for packages, and nothing is carried that is not needed
    assert found(repo)["bases"] == {}


def test_an_edited_file_of_layers_is_stale_and_its_layers_are_a_wish(repo: Repo) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]")
    assert repo.run("lock").code == 0
    path = repo.root / "bake/locks/layers.json"
    path.write_text(
        path.read_text()
        .replace('"frame": {', '"common": {')
        .replace('"on": "frame"', '"on": "common"')
    )
    done = repo.run("lock", "--check")
    assert done.code == 4
    assert done.stderr.splitlines()[:3] == [
        "slimbake: locks are out of date",
        "  bake/locks/layers.json was edited",
        "  not locked yet: the packages of base-common",
    ]
    with pytest.raises(StaleFiles, match=r"layers.json was edited"):
        bake(repo)
    assert repo.run("lock").code == 0
    assert (
        repo.pins("base-common") == ["core==2", "frame==1"]
        and "base-frame.txt" not in repo.locked()
    )


CONFLICT = (
    '{\n "bases": {\n<<<<<<< ours\n  "core": {"on": "", "holds": ["core"]}\n=======\n >>>>>>>'
    " theirs\n"
)
SENSELESS = [
    CONFLICT,
    "[]",
    '{"bases": {"core": {"on": "absent", "holds": ["core"]}}, "services": {}}',
    '{"bases": {"core": {"on": "core", "holds": ["core"]}}, "services": {}}',
    '{"bases": {}, "services": {"api": {"on": "absent", "holds": []}}}',
    '{"bases": {"../core": {"on": "", "holds": ["core"]}}, "services": {}}',
    '{"bases": {"core": {"on": "", "holds": [1]}}, "services": {}}',
]


@pytest.mark.parametrize(
    "text", SENSELESS, ids=["conflict", "list", "parent", "itself", "stand", "a path", "a number"]
)
def test_a_file_of_layers_that_cannot_be_read_is_said_and_made_again_and_no_version_moves(
    text: str, repo: Repo, index: Index
) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]")
    assert repo.run("lock").code == 0
    before = repo.locked()
    index.add("core", "3")
    (repo.root / "bake/locks/layers.json").write_text(text)
    done = repo.run("lock", "--check")
    assert (done.code, "layers.json was edited" in done.stderr) == (4, True), done.stderr
    assert repo.run("plan").code == 0
    done = repo.run("lock")
    assert done.code == 0
    assert "bake/locks/layers.json cannot be read: slimbake finds the layers again\n" in done.stderr
    assert repo.locked() == before


def test_a_missing_file_of_layers_is_said_and_made_again(repo: Repo) -> None:
    services(repo, api="[frame, extra]", work="[tool, frame]")
    assert repo.run("lock").code == 0
    before = repo.locked()
    (repo.root / "bake/locks/layers.json").unlink()
    assert "layers.json is missing" in repo.run("lock", "--check").stderr
    assert repo.run("lock").code == 0
    assert repo.locked() == before


# --- torch and platforms


def test_the_build_of_torch_reaches_a_service_that_alone_has_torch_and_stands_on_a_base(
    repo: Repo,
) -> None:
    make_wheel(repo.root.parent / "wheels", "torch", "2.0+cpu")
    repo.monkeypatch.setenv("UV_FIND_LINKS", str(repo.root.parent / "wheels"))
    services(repo, TWO + "torch: cpu\n", api="[frame]", rank="[frame, torch]")
    done = repo.run("lock")
    assert done.code == 0, done.stderr
    assert repo.pins("rank") == ["torch==2.0+cpu"]
    recipe = project(repo).plan.target("rank").recipe
    assert recipe and recipe.install and recipe.install.torch == "cpu"


def test_a_fleet_for_cpus_that_would_hold_cuda_is_refused(repo: Repo, index: Index) -> None:
    make_wheel(repo.root.parent / "wheels", "torch", "2.0+cpu")
    repo.monkeypatch.setenv("UV_FIND_LINKS", str(repo.root.parent / "wheels"))
    index.add("nvidia-cublas-cu12", "12.1")
    index.add("speedy", "1", ["nvidia-cublas-cu12"])
    services(repo, TWO + "torch: cpu\n", api="[torch]", rank="[torch, speedy]")
    done = repo.run("lock")
    assert done.code == 2
    assert done.stderr.splitlines()[-3:-1] == [
        "slimbake: a fleet with `torch: cpu` would hold CUDA packages",
        "  rank: nvidia-cublas-cu12==12.1, required by speedy -> nvidia-cublas-cu12",
    ]


BOTH = "platforms: [linux/amd64, linux/arm64]\n"


def test_what_one_service_needs_on_one_platform_and_another_everywhere_is_there_for_both(
    repo: Repo, index: Index
) -> None:
    index.add("pure", "1", ['extra ; platform_machine == "x86_64"'])
    for order in (("a", "b"), ("b", "a")):
        asked = {"a": "[pure]", "b": "[pure, extra]"}
        services(repo, TWO + BOTH, **{name: asked[name] for name in order})
        assert repo.run("lock", "--upgrade").code == 0
        assert closure(repo, "b") == ["extra==1", "pure==1"]
        holding = next(name for name, pins in on_the_way(repo, "b").items() if "extra==1" in pins)
        assert "extra==1 \\" in repo.locked()[f"{holding}.txt"]


def test_a_package_whose_version_differs_by_platform_lies_in_one_base_with_both(
    repo: Repo, index: Index
) -> None:
    index.add("pure", "1", ['core<2 ; platform_machine == "aarch64"', "core"])
    services(repo, TWO + BOTH, a="[pure]", b="[pure, leaf]")
    assert repo.run("lock").code == 0
    assert list(on_the_way(repo, "b")) == ["base-pure", "b"]
    assert repo.pins("base-pure") == ["core==1", "core==2", "pure==1"]
    assert repo.pins("b") == ["leaf==1"]
    made = project(repo)
    assert {pin.marker for pin in locked_pins(made.fleet, made.locks)["base-pure"]} == {
        'platform_machine == "aarch64"',
        'platform_machine == "x86_64"',
        "",
    }


# --- names


def test_no_generated_base_has_the_name_of_anything_else(repo: Repo, index: Index) -> None:
    for name in ("runtime", "frame-smoke", "inputs"):
        index.add(name, "1")
    services(
        repo,
        a="[runtime]",
        b="[runtime]",
        c="[frame-smoke]",
        frame="[frame-smoke]",
        e="[inputs]",
        f="[inputs]",
    )
    (repo.root / "frame/smoke.py").write_text("")
    text = (repo.root / "services.yaml").read_text()
    (repo.root / "services.yaml").write_text(
        text.replace("{context: frame,", "{context: frame, smoke: smoke.py,")
    )
    assert repo.run("lock").code == 0
    assert set(found(repo)["bases"]) == {"runtime", "frame-smoke", "inputs"}
    targets = project(repo).plan.targets
    for names in ([t.name for t in targets], [t.repository for t in targets if t.repository]):
        assert len(set(names)) == len(names)
