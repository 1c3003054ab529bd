"""What a search found, as passes and as the text of a catalogue."""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import yaml

from slimbake.catalogue.model import Applied, Pass
from slimbake.config.model import Pairs
from slimbake.proof.globs import compact
from slimbake.proof.units import SearchedFleet


@dataclass(frozen=True, slots=True)
class SearchedLayer:
    """What one base or service adds: its name and its packages."""

    name: str
    packages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A pass to be reviewed, and what it takes away."""

    layer: str
    proposed: Pass
    files: int
    bytes: int


def dropped(fleet: SearchedFleet, gone: Collection[str]) -> tuple[str, ...]:
    """The packages of which nothing stays, and of which nobody asks for the metadata: these are not
    installed.
    """
    return tuple(
        package
        for package, modules in fleet.by_package.items()
        if all(module.guarded or module.name in gone for module in modules)
        and any(not module.guarded for module in modules)
        and fleet.droppable(package)
    )


def proposals(
    fleet: SearchedFleet,
    gone: Collection[str],
    layer: SearchedLayer,
    services: Sequence[str],
    unseen: Sequence[str],
) -> tuple[Proposal, ...]:
    """The passes that remove these files of one layer: of one kind each, those that do nothing left
    out.

    `unseen`: the services of whose commands not all was seen.
    """
    names = [package for package in layer.packages if package in fleet.by_package]
    whole = [package for package in dropped(fleet, gone) if package in names]
    partly = {
        package: modules
        for package in names
        if package not in whole
        for modules in [{module.name for module in fleet.by_package[package]}]
        if modules & set(gone)
    }
    left = {
        package: bare
        for package in names
        if package not in whole
        for bare in [{m.name for m in fleet.by_package[package]} & fleet.uncompiled - set(gone)]
        if bare
    }
    who, without = (
        _and(services),
        f"Found by slimbake search: the smokes of {_and(services)} pass without",
    )
    only = (
        f". What the command of {_and(unseen)} uses was not seen, or not all of it."
        if unseen
        else ""
    )
    made: list[Proposal] = []
    if whole:
        files = [m.name for package in whole for m in fleet.by_package[package]]
        proposed = Pass(
            name=f"found.{layer.name}.packages",
            about=f"leaves out packages of {layer.name} that are not used",
            why=without + (only or ", and their commands use nothing of them."),
            costs="every feature that imports one of these packages",
            packages=_pins(fleet, whole),
            drop=tuple(whole),
        )
        made.append(Proposal(layer.name, proposed, len(files), fleet.bytes(files)))
    if partly:
        every = {name for modules in partly.values() for name in modules}
        globs = compact(every, every & set(gone))
        proposed = Pass(
            name=f"found.{layer.name}",
            about=f"removes what is not used of the packages of {layer.name}",
            why=without + (only or ", and their commands open none of it."),
            costs="every feature that no smoke uses",
            packages=_pins(fleet, partly),
            remove=globs.remove,
            keep=globs.keep,
        )
        made.append(
            Proposal(layer.name, proposed, len(every & set(gone)), fleet.bytes(every & set(gone)))
        )
    if left:
        bare = {name for each in left.values() for name in each}
        every = {
            m.name for package in left for m in fleet.by_package[package] if m.name.endswith(".py")
        }
        globs = compact(every - set(gone), bare)
        proposed = Pass(
            name=f"found.{layer.name}.bytecode",
            about=f"compiles no modules of {layer.name} of which only the source is read",
            why=(
                f"Found by slimbake search: the smokes of {who} do not import these modules{only}"
                if only
                else (
                    f"Found by slimbake search: neither the smokes of {who} nor their commands"
                    " import these modules."
                )
            ),
            costs="a slower start of what imports them",
            packages=_pins(fleet, left),
            uncompiled=globs.remove,
            keep=globs.keep,
        )
        made.append(
            Proposal(
                layer.name, proposed, len(bare), sum(fleet.modules[name].bytecode for name in bare)
            )
        )
    return tuple(made)


def applied(passes: Iterable[Pass], pins: Pairs) -> tuple[Applied, ...]:
    """As a layer with these packages gets them."""
    return tuple(said for each in passes if (said := each.applied(pins)))


def pins(fleet: SearchedFleet) -> Pairs:
    """The packages of the images, each with its version."""
    return tuple((package, modules[0].version) for package, modules in fleet.by_package.items())


def entry(proposal: Proposal) -> Mapping[str, object]:
    """A pass as a catalogue writes it."""
    each = proposal.proposed
    said: dict[str, object] = {
        "about": f"{each.about}: {proposal.bytes / 1e6:.1f} MB in {proposal.files} files",
        "why": each.why,
        "costs": each.costs,
        "packages": dict(each.packages),
    }
    lists = {
        "remove": each.remove,
        "keep": each.keep,
        "drop": each.drop,
        "uncompiled": each.uncompiled,
    }
    return said | {key: list(values) for key, values in lists.items() if values}


def _pins(fleet: SearchedFleet, packages: Iterable[str]) -> Pairs:
    return tuple((name, f"=={fleet.by_package[name][0].version}") for name in sorted(packages))


def _and(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else "".join(names)


WIDTH = 120


class _Indented(yaml.SafeDumper):
    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def catalogue_text(found: Sequence[Proposal]) -> str:
    """The passes as a file of their own."""
    return "passes:\n" + "\n".join(_entry(each) for each in found)


def catalogue_with(text: str, found: Sequence[Proposal]) -> str:
    """The text of a catalogue with these passes in it; unchanged without any. It must have its passes
    in lines of their own, as a block.

    Raises ValueError where it has not.
    """
    if not found:
        return text
    if not text.strip():
        return catalogue_text(found)
    made = text if text.endswith("\n") else f"{text}\n"
    for proposal in found:
        start, end = _place(made, proposal.proposed.name)
        new = _entry(proposal)
        before, after = made[:start], made[end:]
        gap = "" if before.endswith(("\n\n", "passes:\n")) else "\n"
        made = f"{before}{gap}{new}{chr(10) if after.strip() else ''}{after}"
    loaded = yaml.safe_load(made)
    if any(loaded["passes"].get(each.proposed.name) != entry(each) for each in found):
        raise ValueError("its passes are not laid out as a block")
    return made


def _entry(proposal: Proposal) -> str:
    buffer = io.StringIO()
    said = {proposal.proposed.name: entry(proposal)}
    yaml.dump(said, buffer, _Indented, sort_keys=False, width=WIDTH, allow_unicode=True)
    return "".join(f"  {line}\n" for line in buffer.getvalue().splitlines())


def _place(text: str, name: str) -> tuple[int, int]:
    """Where the entry of that name lies, from its line to the line after its last; an empty place
    if there is none.
    """
    passes = re.search(r"^passes:[ \t]*(?:#.*)?\n", text, re.MULTILINE)
    if not passes:
        raise ValueError("it has no line 'passes:'")
    following = re.compile(r"^[^\s#]", re.MULTILINE).search(text, passes.end())
    last = following.start() if following else len(text)
    found = re.compile(rf"""^  (["']?){re.escape(name)}\1:[ \t]*(?:#.*)?\n""", re.MULTILINE).search(
        text, passes.end(), last
    )
    if not found:
        return last, last
    after = re.compile(r"^ {0,2}\S", re.MULTILINE).search(text, found.end(), last)
    return found.start(), after.start() if after else last
