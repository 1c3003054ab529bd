group "default" {
  targets = ["api", "embed", "rank"]
}

group "bases" {
  targets = ["runtime"]
}

target "_common" {
  platforms = split(",", PLATFORMS)
  # The time in every image's configuration and history, 1980-01-01: the hour of a build is no part of what is built.
  # It is the time of every file in a layer, too.
  args = { SOURCE_DATE_EPOCH = "315532800" }
  # Provenance would give every build another digest; add it at the push of a release.
  attest = ["type=provenance,disabled=true", "type=sbom,disabled=true"]
}

target "_online" {
  args = CA_BUNDLE == "" ? {} : { NODE_EXTRA_CA_CERTS = "/etc/ssl/certs/ca-certificates.crt" }
  secret = concat(
    CA_BUNDLE == "" ? [] : ["id=slimbake-ca,src=${CA_BUNDLE}"],
    UV_SETTINGS == "" ? [] : ["id=slimbake-uv,src=${UV_SETTINGS}"],
  )
}


target "inside" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inside.Dockerfile"
  contexts = {
    "locks" = "bake/locks"
    "layers" = "bake/dockerfiles/layers"
    "uv" = "docker-image://ghcr.io/astral-sh/uv:0.13.9"
  }
  labels = {
    "org.opencontainers.image.title" = "inside"
    "slimbake.project" = "layers"
    "slimbake.target" = "inside"
  }
  output = ["type=cacheonly"]
}

target "runtime" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/runtime.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "python" = "docker-image://python:3.11-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "runtime"
    "slimbake.project" = "layers"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "layer_pydantic-core_827a107f" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_pydantic-core_827a107f"
  }
  output = ["type=cacheonly"]
}

target "layer_api" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_api"
  }
  output = ["type=cacheonly"]
}

target "layer_numpy_5f105ed0" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_numpy_5f105ed0"
  }
  output = ["type=cacheonly"]
}

target "layer_torch_6d46c386" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_torch_6d46c386"
  }
  output = ["type=cacheonly"]
}

target "layer_numpy_a7587196" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_numpy_a7587196"
  }
  output = ["type=cacheonly"]
}

target "layer_sympy_6e915fcc" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_sympy_6e915fcc"
  }
  output = ["type=cacheonly"]
}

target "layer_rank" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_rank"
  }
  output = ["type=cacheonly"]
}

target "weights-models-small" {
  inherits = ["_common"]
  context = "models/small"
  dockerfile = "../../bake/dockerfiles/weights-models-small.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-models-small"
    "slimbake.project" = "layers"
    "slimbake.target" = "weights-models-small"
  }
  output = ["type=cacheonly"]
}

target "api" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/api.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "layer_pydantic-core_827a107f" = "target:layer_pydantic-core_827a107f"
    "layer_api" = "target:layer_api"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "api"
    "slimbake.lock" = "sha256:869572af69062b95357556252347b324c55109ac1628cd5e93155d9aa01b7b24"
    "slimbake.project" = "layers"
    "slimbake.promise" = "kept"
    "slimbake.target" = "api"
  }
  output = image("api")
  tags = ["${REGISTRY}/api:${TAG}"]
  cache-from = cache(CACHE_FROM, "api")
  cache-to = cache(CACHE_TO, "api")
}

target "embed" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/embed.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "layer_pydantic-core_827a107f" = "target:layer_pydantic-core_827a107f"
    "layer_api" = "target:layer_api"
    "weights-models-small" = "target:weights-models-small"
    "layer_numpy_5f105ed0" = "target:layer_numpy_5f105ed0"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "embed"
    "slimbake.lock" = "sha256:4a52975918922f3f7e17abd3d9ad9c155dd0757b0e6370a1739c2f7767f409f0"
    "slimbake.project" = "layers"
    "slimbake.promise" = "kept"
    "slimbake.target" = "embed"
  }
  output = image("embed")
  tags = ["${REGISTRY}/embed:${TAG}"]
  cache-from = cache(CACHE_FROM, "embed")
  cache-to = cache(CACHE_TO, "embed")
}

target "rank" {
  inherits = ["_common"]
  context = "rank"
  dockerfile = "../bake/dockerfiles/rank.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "layer_torch_6d46c386" = "target:layer_torch_6d46c386"
    "layer_numpy_a7587196" = "target:layer_numpy_a7587196"
    "layer_sympy_6e915fcc" = "target:layer_sympy_6e915fcc"
    "layer_rank" = "target:layer_rank"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "rank"
    "slimbake.lock" = "sha256:d53c27a38769142ec37690add5e02a24a3bd4bec222fd1463e0baa798b9cd12c"
    "slimbake.project" = "layers"
    "slimbake.promise" = "removes"
    "slimbake.target" = "rank"
  }
  output = image("rank")
  tags = ["${REGISTRY}/rank:${TAG}"]
  cache-from = cache(CACHE_FROM, "rank")
  cache-to = cache(CACHE_TO, "rank")
}

target "api-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:api"
  }
  args = {
    "CHECKED" = "api"
    "PACKAGES" = "fastapi pydantic-core"
  }
  output = ["type=cacheonly"]
}

target "embed-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:embed"
  }
  args = {
    "CHECKED" = "embed"
    "PACKAGES" = "fastapi numpy pydantic-core"
  }
  output = ["type=cacheonly"]
}

target "rank-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:rank"
  }
  args = {
    "CHECKED" = "rank"
    "PACKAGES" = "mpmath numpy regex sympy torch"
    "REMOVES" = "[\"services.yaml: services.rank.remove: torch/utils/benchmark/**\"]"
  }
  output = ["type=cacheonly"]
}
