"""Who listens, by the kernel's tables."""

from pathlib import Path

from slimbake.inside.check.processes import listeners

HEADER = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def row(address: str, port: int, state: str = "0A") -> str:
    return f"   0: {address}:{port:04X} 00000000:0000 {state} 00000000:00000000 00:00000000\n"


def test_ports_and_whether_they_are_reached_from_outside(tmp_path: Path) -> None:
    any_address, loopback = "00000000", "0100007F"
    rows = row(any_address, 8000), row(loopback, 9000), row(any_address, 7000, state="01")
    (tmp_path / "tcp").write_text(HEADER + "".join(rows))
    assert listeners(tmp_path) == {8000: True, 9000: False}


def test_the_engines_own_names_of_a_network_are_no_port_of_the_command(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(HEADER + row("0B00007F", 33255) + row("00000000", 9999))
    assert listeners(tmp_path) == {9999: True}
