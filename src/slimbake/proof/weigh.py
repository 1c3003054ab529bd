"""What passes save on a layer, each by itself: files, bytes, and bytes of these files compressed."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO

from slimbake.catalogue.model import Applied
from slimbake.images.contents import ZSTD, Weight
from slimbake.images.streams import chunks
from slimbake.proof.ablation import Weighed
from slimbake.proof.trial import Subject, weighed


@dataclass(slots=True)
class _Scale:
    files: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=lambda: {"before": 0, "after": 0})
    weights: dict[str, Weight] = field(
        default_factory=lambda: {w: Weight("zstd", ZSTD) for w in ("before", "after")}
    )
    error: str = ""
    near: str = ""

    def take(
        self, when: str, name: str, header: bytes, content: IO[bytes] | None, size: int
    ) -> None:
        saved = size if when == "before" else -size
        self.files[name] = self.files.get(name, 0) + saved
        self.sizes[when] += size
        for piece in itertools.chain(
            (header,), chunks(content) if content else (), (bytes(-size % 512),)
        ):
            self.weights[when].write(piece)

    def weighed(self) -> Weighed:
        zstd = {
            when: weight.end() if self.sizes[when] else 0 for when, weight in self.weights.items()
        }
        return Weighed(self.files, zstd["before"] - zstd["after"], self.error, self.near)


def weigh(subject: Subject, passes: Sequence[Applied]) -> tuple[Weighed, ...]:
    """Weigh each pass on a subject, in one container that reads what they remove. Raises
    SetupError.
    """
    scales = [_Scale() for _ in passes]
    with weighed(subject, passes) as members:
        for member, content in members:
            number, when, *name = member.name.split("/", 2)
            if when in ("error", "near"):
                setattr(scales[int(number)], when, member.pax_headers.get("comment", ""))
            else:
                scales[int(number)].take(when, name[0], member.tobuf(), content, member.size)
    return tuple(scale.weighed() for scale in scales)
