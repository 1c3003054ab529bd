"""Wheels as uv locates them, and the platforms they fit."""

import pytest

from slimbake.host.wheels import Located, Wheel, fit, marker, parse_pylock, tags, uv_platform

A = "a" * 64


def test_every_wheel_of_a_package_is_located_by_address_or_by_path() -> None:
    text = (
        '[[packages]]\nname = "six"\nversion = "1"\nwheels = [\n  { url ='
        f' "https://x.example.com/six-1%2Bx-py3-none-any.whl", size = 3, hashes = {{ sha256 = "{A}"'
        ' } },\n  { url = "https://index.example.com/6", name ='
        ' "six-1-cp311-cp311-linux_x86_64.whl" },\n]\n[[packages]]\nname = "torch"\nversion ='
        ' "2"\nwheels = [{ path = "/srv/torch-2-py3-none-any.whl" }]\n[[packages]]\nname ='
        ' "source"\nversion = "1"\nsdist = { url = "https://index.example.com/source.tar.gz" }\n'
    )
    assert parse_pylock(text) == {
        "six": (
            Located(
                Wheel("six-1+x-py3-none-any.whl", 3, A),
                "https://x.example.com/six-1%2Bx-py3-none-any.whl",
            ),
            Located(
                Wheel("six-1-cp311-cp311-linux_x86_64.whl", None, ""), "https://index.example.com/6"
            ),
        ),
        "torch": (
            Located(
                Wheel("torch-2-py3-none-any.whl", None, ""), "file:///srv/torch-2-py3-none-any.whl"
            ),
        ),
    }
    assert parse_pylock('lock-version = "1.0"\n') == {}


@pytest.mark.parametrize(
    ("file", "amd64", "arm64"),
    [
        ("a-1-py3-none-any.whl", True, True),
        ("a-1-py2.py3-none-any.whl", True, True),
        ("a-1-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True, False),
        ("a-1-cp311-cp311-manylinux_2_41_aarch64.whl", False, True),
        ("a-1-cp39-abi3-manylinux1_x86_64.whl", True, False),
        ("a-1-cp311-cp311-linux_x86_64.whl", True, False),
        ("a-1-cp312-cp312-manylinux_2_17_x86_64.whl", False, False),
        ("a-1-cp312-abi3-manylinux_2_17_x86_64.whl", False, False),
        ("a-1-cp311-cp311-musllinux_1_2_x86_64.whl", False, False),
        ("a-1-cp311-cp311-manylinux_2_42_x86_64.whl", False, False),
        ("a-1-cp311-cp311-macosx_11_0_arm64.whl", False, False),
        ("no-wheel.whl", False, False),
    ],
)
def test_a_wheel_fits_where_its_tags_say(file: str, amd64: bool, arm64: bool) -> None:
    assert (
        fit(file, "3.11", "linux/amd64") is not None,
        fit(file, "3.11", "linux/arm64") is not None,
    ) == (amd64, arm64)


def test_the_more_a_wheel_is_made_for_a_platform_the_better_it_fits() -> None:
    best_first = [
        "a-1-cp311-cp311-manylinux_2_28_x86_64.whl",
        "a-1-cp311-cp311-manylinux_2_17_x86_64.whl",
        "a-1-cp311-abi3-manylinux_2_28_x86_64.whl",
        "a-1-cp310-abi3-manylinux_2_28_x86_64.whl",
        "a-1-py3-none-manylinux_2_28_x86_64.whl",
        "a-1-cp311-none-any.whl",
        "a-1-py3-none-any.whl",
        "a-1-py2.py3-none-any.whl",
    ]
    found = sorted(
        sorted(best_first), key=lambda file: str(fit(file, "3.11", "linux/amd64")).zfill(9)
    )
    assert found[:6] == best_first[:6]  # what is for every platform is alike


def test_each_platform_has_its_marker_and_uv_s_name() -> None:
    assert (marker("linux/arm64"), uv_platform("linux/arm64")) == (
        'platform_machine == "aarch64"',
        "aarch64-manylinux_2_40",
    )
    assert set(tags("3.11", "linux/amd64").values()) == set(range(len(tags("3.11", "linux/amd64"))))
