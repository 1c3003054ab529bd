"""The only package that starts docker, buildx and dockerd. The others call these functions."""

from slimbake.docker.builds import (
    BUILD_ENVIRONMENT,
    Bake,
    build,
    use_builder,
)
from slimbake.docker.containers import (
    OWNER,
    bind,
    container_output,
    publishing,
    remove_orphans,
    run_foreground,
    running,
)
from slimbake.docker.images import (
    engine_image,
    find_image,
    held_images,
    image_ids,
    project_images,
    pull_image,
    push_image,
    registry_answer,
    remove_dangling,
    remove_image,
    same_image,
    saved,
    tag_image,
)

__all__ = [
    "BUILD_ENVIRONMENT",
    "OWNER",
    "Bake",
    "bind",
    "build",
    "container_output",
    "engine_image",
    "find_image",
    "held_images",
    "image_ids",
    "project_images",
    "publishing",
    "pull_image",
    "push_image",
    "registry_answer",
    "remove_dangling",
    "remove_image",
    "remove_orphans",
    "run_foreground",
    "running",
    "same_image",
    "saved",
    "tag_image",
    "use_builder",
]
