"""The cold stores of an image: Python code that lies compressed in its layers."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from slimbake.errors import SetupError, UsageError
from slimbake.host.files import write_atomically
from slimbake.images import opened, streams
from slimbake.images.contents import clean
from slimbake.images.model import address
from slimbake.inside.cold.layout import SUFFIX, Store, StoreError

_FOLDER = PurePosixPath("opt/slimbake/cold")


def cold_stores(image: str, platform: str) -> dict[str, Store]:
    """The stores of an image by layer, read whole; `image` is an address.

    Raises UsageError where the address is not that of one image, and SetupError for a store that
    cannot be read.
    """
    found: dict[str, bytes] = {}
    with opened(address(image), platform) as source:
        if len(source.images) != 1:
            names = ", ".join(sorted(each.name for each in source.images))
            raise UsageError(f"{image} holds {len(source.images)} images: {names}", "name one")
        for stored in source.images[0].layers:
            with streams.layer(source.blobs, stored) as tar:
                for member, content in streams.members(tar):
                    path = PurePosixPath(clean(member.name))
                    if content and path.parent == _FOLDER and path.suffix == SUFFIX:
                        found[path.stem] = content.read()
    try:
        return {layer: store_of(layer, found[layer]) for layer in sorted(found)}
    except StoreError as error:
        raise SetupError(str(error)) from None


def store_of(layer: str, content: bytes) -> Store:
    """The store of a layer, of its bytes. Raises StoreError."""
    path = f"/{_FOLDER}/{layer}{SUFFIX}"
    return Store(path, lambda start, size: content[start : start + size])


def cold_modules(store: Store) -> tuple[tuple[str, bytes], ...]:
    """The modules of a store: path below site-packages, and content.

    Raises SetupError for a store that cannot be read.
    """
    try:
        return tuple(sorted(store.contents()))
    except StoreError as error:
        raise SetupError(str(error)) from None


def extract_cold(store: Store, into: Path) -> int:
    """Write the modules of a store below a folder, as they stood; return how many.

    Raises SetupError for a store that cannot be read, and for a path that leads out of the folder.
    """
    modules = cold_modules(store)
    for path, content in modules:
        if ".." in PurePosixPath(path).parts:
            raise SetupError(f"the cold store {store.path} names {path}, outside its folder")
        write_atomically(into / path, content)
    return len(modules)
