"""Layers as people read them: those that each base and service adds, bottom first."""

from tests.unit.fleets import asks, fleet, locked, pinned, service

from slimbake.config.model import BaseEntry
from slimbake.fleet import Fleet
from slimbake.layers import layering
from slimbake.lock.locks import Locks
from slimbake.report.layers import layer_lines

WEB = BaseEntry("web", requirements=asks("x"))


def lines(made: Fleet, locks: Locks) -> list[str]:
    return list(layer_lines(made, layering(made, locks), {}))


def test_services_stand_on_their_base_and_on_what_they_share() -> None:
    services = [service(name, base="web", requirements=asks("y")) for name in "ab"]
    made = fleet(*services, service("c", base="web"), bases=(WEB,))
    locks = locked(base_web=[pinned("six")], a=[pinned("rich")], b=[pinned("rich")])
    assert lines(made, locks) == [
        "base-web, on the runtime:",
        "  layer_base-web  1.0 kB of wheels: six 1",
        "a, on base-web:",
        "  layer_a  1.0 kB of wheels: rich 1",
        "b, on base-web:",
        "  layer_a  1.0 kB of wheels: rich 1",
        "c, on base-web:",
    ]


def test_of_many_packages_their_number_is_said() -> None:
    made = fleet(service("a", requirements=asks("y")))
    pins = [pinned(f"p{number}") for number in range(5)]
    assert lines(made, locked(a=pins))[1] == "  layer_a  5.0 kB of wheels: 5 packages"


def test_what_was_never_locked_says_so() -> None:
    made = fleet(service("a", requirements=asks("y")))
    assert lines(made, Locks({}))[1] == "  layer_a  0 B of wheels: never locked"
