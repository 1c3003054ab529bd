"""The jobs of a pipeline as data, in waves: small enough for one line of a job's output, and with
no word of shell.
"""

from __future__ import annotations

from typing import TypedDict


class BasesJob(TypedDict):
    """Wave 1, once for each lane: build and push what services share: bases, exported models,
    references.
    """

    lane: str  # the name of the lane: of its digests, and of the scope of its caches
    runner: str
    platform: str  # with several lanes, what is built for; "" = as planned
    targets: str  # separated by spaces, each after what it stands on
    services: str  # what stands on them in this lane, separated by spaces


class ServicesJob(TypedDict):
    """Wave 2: build, check and push some services on what wave 1 pushed in the same lane."""

    id: str  # names its record; no other job has it
    name: str  # for people
    services: str  # separated by spaces
    lane: str
    runner: str
    platform: str


class Bases(TypedDict):
    include: list[BasesJob]


class Services(TypedDict):
    include: list[ServicesJob]


class Matrix(TypedDict):
    """`bases` and `services`: each a `strategy.matrix`, whose list may be empty."""

    bases: Bases
    services: Services
    # with several lanes: REPOSITORY/LANE,LANE/SUFFIX of each service; its tag's suffix may be empty
    merges: list[str]
    # services that need no job, separated by spaces: a registry holds them, or nothing of them
    # changed
    unchanged: str
