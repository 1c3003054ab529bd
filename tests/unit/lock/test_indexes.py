"""What a lock says of the indexes that requirements name."""

import pytest
from tests.unit.fleets import fleet, service
from tests.unit.machines import debian

from slimbake.config.model import BaseEntry, IndexLine, Requirements
from slimbake.lock.locking import index_lines

CPU = IndexLine("r.txt:1", "--extra-index-url", "https://download.pytorch.org/whl/cpu")


@pytest.mark.parametrize("torch", ["", "cpu", "cu128"])
def test_an_index_of_one_build_of_torch_is_named_without_a_choice(torch: str) -> None:
    asked = Requirements(("torch",), indexes=(CPU,))
    alone = fleet(service("api", requirements=asked), torch=torch)
    below = BaseEntry("ml", requirements=Requirements(("torch",)), torch=torch or None)
    stood = fleet(service("api", base="ml", requirements=asked), bases=(below,))
    for found in (alone, stood):
        assert [*index_lines(found, debian())] == (
            []
            if torch
            else [
                "r.txt:1: --extra-index-url https://download.pytorch.org/whl/cpu chooses a build of"
                " torch: say `torch: cpu` in the manifest"
            ]
        )
