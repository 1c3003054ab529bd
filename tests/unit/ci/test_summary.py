"""`slimbake ci summary`: what a run of a pipeline came to, as Markdown that nothing from outside can
break out of.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.unit.fleets import planned, service
from tests.unit.release.played import manifest

from slimbake.ci.model import Record
from slimbake.ci.records import PLAN, read_known, record_file, recorded, records, shared_images
from slimbake.ci.summary import MARK, MOST, SummaryRow, code, summarise, summary_text
from slimbake.cli import slimbake
from slimbake.config.model import Budget
from slimbake.errors import CheckError, UsageError
from slimbake.host.workspace import Workspace
from slimbake.images.sizes import Image, MeasuredLayer, Measurement
from slimbake.plan.model import Plan
from slimbake.release.on_registry import OnRegistry
from slimbake.release.release import Released


def fleet(*names: str) -> Plan:
    budget = Budget(uncompressed=80_000_000)
    return planned(*(service(name, smoke="smoke.py", budget=budget) for name in names))


def image(name: str, own: int, shared: int = 40_000_000) -> Image:
    layers = (
        MeasuredLayer("sha256:shared", "sha256:blob", shared, shared // 3, 10),
        MeasuredLayer(f"sha256:{name}{own}", f"sha256:b{name}{own}", own, own // 2, 3),
    )
    return Image(name, f"sha256:i{name}{own}", layers)


API = image("api", 20_000_000)


def test_what_was_built_is_compared_with_the_main_branch() -> None:
    before = Measurement((image("api", 18_000_000), image("old", 1)))
    record = Record(services=("api",), images=(API,))
    made = summarise(fleet("api", "jobs"), ("api",), ("jobs",), (record,), before)
    assert made.rows == (
        SummaryRow(service="api", state="built", image=API, before=before.images[0]),
        SummaryRow(service="jobs", state="unchanged", image=None, before=None),
    )
    assert made.known == Measurement((API,))
    assert (
        summary_text(made)
        == f"{MARK}\n## Images\n\n| service | state | uncompressed | change | compressed | change |"
        "\n| --- | --- | --- | --- | --- | ---"
        " |\n| <code>api</code> | built | 60.0 MB | +2.0 MB | 23.3 MB | +1.0 MB |\n\nUnchanged, and not built: 1.\n\n1 image together: 60.0 MB"
        " (+2.0 MB) on a host, 23.3 MB (+1.0 MB) on a registry.\n"
    )


def test_what_failed_is_reported_and_keeps_what_was_known_of_it() -> None:
    before = Measurement((API,))
    error = "api: the smoke failed\n  <b>ValueError</b>"
    record = Record(services=("api",), failed=("api",), error=error)
    made = summarise(fleet("api", "late"), ("api", "late"), (), (record,), before)
    assert [row.state for row in made.rows] == ["failed", "not reached"]
    assert made.known == before
    said = summary_text(made)
    assert "| <code>api</code> | failed | unmeasured |" in said
    assert "Failed: <code>api</code>" in said
    assert "&#60;b&#62;ValueError&#60;&#47;b&#62;" in said
    assert "<b>" not in said


def test_a_shared_job_that_failed_says_why_none_of_its_services_was_built() -> None:
    record = Record(services=("api", "jobs"), failed=("api", "jobs"), error="no disk")
    summary = summarise(fleet("api", "jobs"), ("api", "jobs"), (), (record,), Measurement(()))
    assert [row.state for row in summary.rows] == ["failed", "failed"]
    text = summary_text(summary)
    assert "Failed: <code>api</code>, <code>jobs</code>\n\n<pre>no disk</pre>" in text
    assert "not reached" not in text


@pytest.mark.parametrize(
    ("said", "states"),
    [
        ([Record(services=("api", "jobs"), images=(API, image("jobs", 2)))], ["built", "built"]),
        ([Record(services=("api", "jobs"), held=("jobs",), images=(API,))], ["built", "unchanged"]),
        (
            [
                Record(services=("api", "jobs"), images=(API, image("jobs", 2))),
                Record(services=("api",), failed=("api",), error="no space left"),
            ],
            ["failed", "built"],
        ),
    ],
    ids=["both were built", "the registry had one", "one lane failed"],
)
def test_states_of_services_come_from_records(said: list[Record], states: list[str]) -> None:
    asked = ("api", "jobs")
    made = summarise(fleet(*asked), asked, (), tuple(said), Measurement(()))
    assert [row.state for row in made.rows] == states
    assert "Nothing is known of the main branch yet." in summary_text(made)


def test_what_is_over_its_budget_is_shown_with_what_it_weighs() -> None:
    heavy = image("api", 60_000_000)
    record = Record(services=("api",), failed=("api",), error="api: over", images=(heavy,))
    made = summarise(fleet("api"), ("api",), (), (record,), Measurement((API,)))
    assert "| <code>api</code> | failed | 100.0 MB | +40.0 MB |" in summary_text(made)
    assert made.known.images == (API,)


def structure(markdown: str) -> list[tuple[str, str]]:
    """The blocks and the pieces of lines of a text, less the texts themselves."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough")
    found: list[tuple[str, str]] = []
    for token in parser.parse(markdown):
        found.append((token.type, token.tag))
        found += [
            (piece.type, piece.content if piece.type == "html_inline" else "")
            for piece in token.children or ()
        ]
    return [each for each in found if each[0] not in ("text", "text_special", "softbreak")]


BREAKS = [
    *("x|y", "`x`", "</code><script>alert(1)</script>", "[a](javascript:x)", "*a*_b_~c~", "\\|"),
    *("![a](http://x/y.png)", "@someone #12", "a\n\n# heading", "<!-- ", "&lt;b&gt;"),
    *("</pre><h1>", "https://example.com/", "\u202egnp"),
]


@pytest.mark.parametrize("hostile", BREAKS)
def test_no_name_and_no_error_breaks_out_of_its_place(hostile: str) -> None:
    def said(name: str, error: str) -> str:
        good = Record(services=("api",), images=(API,))
        found = (good, Record(services=(name,), error=error))
        made = summarise(fleet("api"), ("api",), (), found, Measurement(()))
        row = SummaryRow(service=name, state="built", image=API, before=None)
        return summary_text(replace(made, rows=(row,)))

    assert structure(said(hostile, hostile)) == structure(said("name", "error"))


@given(st.text(min_size=1))
@example("|")
def test_a_text_in_code_font_is_one_line_without_markup(words: str) -> None:
    made = code(words)
    assert made.startswith("<code>")
    inner = made.removeprefix("<code>").removesuffix("</code>")
    assert set(inner) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 &#;")
    assert len(made.splitlines()) == 1


def test_a_comment_never_grows_too_long_and_says_what_it_left_out() -> None:
    names = tuple(f"service-{number}" for number in range(2000))
    found = tuple(Record(services=(name,), images=(image(name, 5),)) for name in names)
    bad = tuple(Record(services=(name,), failed=(name,), error="<" * 5000) for name in names[:3])
    said = summary_text(summarise(fleet(*names), names, (), (*found, *bad), Measurement(())))
    assert len(said) < 65_536
    assert said.count("| built |") + said.count("| failed |") == MOST
    assert " more.\n" in said


def test_errors_that_a_summary_has_no_room_for_are_in_logs() -> None:
    names = tuple(f"service-{number}" for number in range(20))
    bad = tuple(Record(services=(n,), failed=(n,), error="<" * 5000) for n in names)
    said = summary_text(summarise(fleet(*names), names, (), bad, Measurement(())))
    assert len(said) < 65_536
    assert said.endswith("\n\nThe logs of the jobs have more.\n")
    assert said.count("<pre>") == said.count("</pre>") > 4


def test_a_record_says_how_a_bake_ended_whichever_way(tmp_path: Path) -> None:
    good = Released(Measurement((API,)))
    failure = CheckError("jobs is over its budget")
    partly = replace(good, names={"api": "r/api:1"}, failures={"jobs": failure})

    def fails() -> Released:
        raise CheckError("the smoke failed", "fix it")

    assert recorded(tmp_path / "good.json", ("api",), lambda: good) is good
    with pytest.raises(CheckError, match="the smoke failed"):
        recorded(tmp_path / "bad.json", ("api",), fails)
    assert recorded(tmp_path / "partly.json", ("api", "jobs"), lambda: partly) is partly
    assert recorded(None, ("api",), lambda: good) is good
    found = {path.stem: records([path])[0] for path in tmp_path.iterdir()}
    assert set(found) == {"good", "bad", "partly"}
    assert found["good"] == Record(services=("api",), images=(API,))
    why = "the smoke failed\nfix it"
    assert found["bad"] == Record(services=("api",), error=why, failed=("api",))
    assert found["partly"] == Record(
        services=("api", "jobs"),
        error="jobs is over its budget\ntagged all the same: api\nnot tagged: jobs",
        failed=("jobs",),
        images=(API,),
    )


def test_a_record_says_what_the_registry_had(tmp_path: Path) -> None:
    there = OnRegistry("api", "r/api", manifest("api"))
    done = Released(Measurement(()), on_registry=(there,), names={"api": "r/api:1"})
    recorded(tmp_path / "record.json", ("api",), lambda: done)
    (found,) = records([tmp_path])
    assert (found.held, found.failed, found.images) == (("api",), (), ())


DIGEST = f"sha256:{'a' * 64}"


def leave(file: Path, pushed: dict[str, str]) -> None:
    """What a job that pushed this leaves."""
    recorded(file, (), lambda: Released(Measurement(()), pushed=pushed))


def test_what_the_first_wave_pushed_is_read_from_its_record(tmp_path: Path) -> None:
    file = tmp_path / "lane.json"
    with pytest.raises(UsageError) as raised:
        shared_images(file, fleet("api"))
    hint = "`slimbake ci shared` writes it in the first wave: run all jobs again"
    assert raised.value.hint == hint
    pushed = {"runtime": f"r.example.com/toy/runtime@{DIGEST}"}
    leave(file, pushed)
    assert shared_images(file, fleet("api")) == pushed


@pytest.mark.parametrize(
    "pushed",
    [
        {"runtime": "r.example.com/toy/runtime:latest"},
        {"runtime": f"x,dest=/etc@{DIGEST}"},
        {"api": f"r.example.com/toy/api@{DIGEST}"},
    ],
)
def test_a_record_of_something_else_is_refused(tmp_path: Path, pushed: dict[str, str]) -> None:
    leave(file := tmp_path / "lane.json", pushed)
    with pytest.raises(UsageError, match=r"is not of what services of services\.yaml share"):
        shared_images(file, fleet("api"))


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"images": {"api": 1}}', '{"images": [], "seconds": 1}']
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "record.json").write_text(content)
    with pytest.raises(UsageError, match=r"record\.json cannot be read"):
        records([tmp_path / "record.json"])


def test_the_command_reads_what_jobs_left_and_writes_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    file = tmp_path / "services.yaml"
    file.write_text('project: toy\npython: "3.11"\nservices: {api: {context: api}}\n')
    plan = record_file(Workspace(tmp_path), PLAN)
    plan.parent.mkdir(parents=True)
    plan.write_text(json.dumps({"shared": [{"services": "api"}], "unchanged": ""}))
    released = Released(Measurement((API,)))
    recorded(plan.with_name("api.json"), ("api",), lambda: released)
    words = ["ci", "summary", "--manifest", str(file)]
    done = CliRunner().invoke(slimbake, words)
    assert done.exit_code == 0, done.output
    assert "<code>api</code> | built" in done.stdout
    assert read_known(Workspace(tmp_path)) == Measurement((API,))

    plan.write_text("{}")
    refused = CliRunner().invoke(slimbake, words)
    assert isinstance(refused.exception, UsageError)
    assert refused.exception.hint == "`slimbake ci plan` writes it"
