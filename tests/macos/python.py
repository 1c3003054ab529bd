"""Runs slimbake in a Python that lacks what it lacks on macOS: `python tests/macos/python.py COMMAND...`."""

from __future__ import annotations

import os
import resource
import runpy
import sys
import sysconfig
import types

_LINUX_ALONE = {
    os: ("O_PATH", "memfd_create", "pidfd_open", "sched_getaffinity"),
    resource: ("prlimit",),
}


def lack() -> None:
    """Have this Python be such a one."""
    sysconfig.get_config_vars()  # of this Python, not of one for macOS
    for module, names in _LINUX_ALONE.items():
        for name in names:
            if hasattr(module, name):
                delattr(module, name)
    proxies = types.ModuleType("_scproxy")  # which urllib asks on macOS
    proxies.__dict__.update(
        _get_proxies=dict, _get_proxy_settings=lambda: {"exclude_simple": False}
    )
    sys.modules["_scproxy"] = proxies
    sys.platform = "darwin"


if __name__ == "__main__":
    lack()
    runpy.run_module("slimbake", run_name="__main__", alter_sys=True)
