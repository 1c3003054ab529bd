group "default" {
  targets = ["api", "embed", "tool"]
}

group "bases" {
  targets = ["runtime", "base-web", "base-ml"]
}

group "smoke" {
  targets = ["embed-smoke", "tool-smoke"]
}

group "cpu" {
  targets = ["embed"]
}

group "cpu-smoke" {
  targets = ["embed-smoke"]
}

group "cuda" {
  targets = ["embed-cuda"]
}

group "cuda-smoke" {
  targets = ["embed-cuda-smoke"]
}

group "slim" {
  targets = ["tool"]
}

group "slim-smoke" {
  targets = ["tool-smoke"]
}

group "gpu" {
  targets = ["tool-gpu"]
}

group "gpu-smoke" {
  targets = ["tool-gpu-smoke"]
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
    "slimbake.project" = "atlas"
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
    "slimbake.project" = "atlas"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "layer_base-web" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-web"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "layer_base-web-cuda" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-web-cuda"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "layer_base-ml" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-ml"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "layer_base-ml-cuda" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-ml-cuda"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "layer_embed" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_embed"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "layer_embed-cuda" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_embed-cuda"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "layer_tool" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_tool"
  }
  output = ["type=cacheonly"]
}

target "layer_tool-gpu" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_tool-gpu"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "base-web" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-web.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
    "layer_base-web" = "target:layer_base-web"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-web"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-web"
  }
  platforms = ["linux/amd64"]
  output = image("base-web")
  tags = ["${REGISTRY}/base-web:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-web")
  cache-to = cache(CACHE_TO, "base-web")
}

target "base-web-cuda" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-web-cuda.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
    "layer_base-web-cuda" = "target:layer_base-web-cuda"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-web-cuda"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-web-cuda"
  }
  platforms = ["linux/amd64"]
  output = image("base-web-cuda")
  tags = ["${REGISTRY}/base-web:${TAG}-cuda"]
  cache-from = cache(CACHE_FROM, "base-web-cuda")
  cache-to = cache(CACHE_TO, "base-web-cuda")
}

target "base-ml" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-ml.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:base-web"
    "layer_base-ml" = "target:layer_base-ml"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-ml"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-ml"
  }
  platforms = ["linux/amd64"]
  output = image("base-ml")
  tags = ["${REGISTRY}/base-ml:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-ml")
  cache-to = cache(CACHE_TO, "base-ml")
}

target "base-ml-cuda" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-ml-cuda.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:base-web-cuda"
    "layer_base-ml-cuda" = "target:layer_base-ml-cuda"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-ml-cuda"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-ml-cuda"
  }
  platforms = ["linux/amd64"]
  output = image("base-ml-cuda")
  tags = ["${REGISTRY}/base-ml:${TAG}-cuda"]
  cache-from = cache(CACHE_FROM, "base-ml-cuda")
  cache-to = cache(CACHE_TO, "base-ml-cuda")
}

target "tool-gpu" {
  inherits = ["_common"]
  context = "tool"
  dockerfile = "../bake/dockerfiles/tool-gpu.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "layer_tool-gpu" = "target:layer_tool-gpu"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "tool-gpu"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "tool-gpu"
  }
  platforms = ["linux/amd64"]
  output = image("tool-gpu")
  tags = ["${REGISTRY}/tool:${TAG}-gpu"]
  cache-from = cache(CACHE_FROM, "tool-gpu")
  cache-to = cache(CACHE_TO, "tool-gpu")
}

target "api" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/api.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-web"
    "other" = "target:tool-gpu"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "api"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "api"
  }
  platforms = ["linux/amd64"]
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
    "base" = "target:base-ml"
    "layer_embed" = "target:layer_embed"
  }
  args = {
    "ENV_OMP_NUM_THREADS" = "2"
    "ENV_MODE" = "plain"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "embed"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "embed"
  }
  platforms = ["linux/amd64"]
  output = image("embed")
  tags = ["${REGISTRY}/embed:${TAG}"]
  cache-from = cache(CACHE_FROM, "embed")
  cache-to = cache(CACHE_TO, "embed")
}

target "embed-cuda" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/embed-cuda.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-ml-cuda"
    "layer_embed-cuda" = "target:layer_embed-cuda"
  }
  args = {
    "ENV_OMP_NUM_THREADS" = "2"
    "ENV_MODE" = "cuda"
    "ENV_DEVICE" = "cuda:0"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "embed-cuda"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "embed-cuda"
  }
  platforms = ["linux/amd64"]
  output = image("embed-cuda")
  tags = ["${REGISTRY}/embed:${TAG}-cuda"]
  cache-from = cache(CACHE_FROM, "embed-cuda")
  cache-to = cache(CACHE_TO, "embed-cuda")
}

target "tool" {
  inherits = ["_common"]
  context = "tool"
  dockerfile = "../bake/dockerfiles/tool.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "layer_tool" = "target:layer_tool"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "tool"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "tool"
  }
  output = image("tool")
  tags = ["${REGISTRY}/tool:${TAG}"]
  cache-from = cache(CACHE_FROM, "tool")
  cache-to = cache(CACHE_TO, "tool")
}

target "embed-smoke" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/smoke.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:embed"
  }
  args = {
    "SLIMBAKE_SMOKE" = "embed.py"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "embed-cuda-smoke" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/smoke.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:embed-cuda"
  }
  args = {
    "SLIMBAKE_SMOKE" = "embed.py"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "tool-smoke" {
  inherits = ["_common"]
  context = "tool"
  dockerfile = "../bake/dockerfiles/smoke.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:tool"
  }
  args = {
    "SLIMBAKE_SMOKE" = "tool.py"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  output = ["type=cacheonly"]
}

target "tool-gpu-smoke" {
  inherits = ["_common"]
  context = "tool"
  dockerfile = "../bake/dockerfiles/smoke.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:tool-gpu"
  }
  args = {
    "SLIMBAKE_SMOKE" = "tool.py"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "base-web-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:base-web"
  }
  args = {
    "CHECKED" = "base-web"
    "PACKAGES" = ""
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "base-web-cuda-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:base-web-cuda"
  }
  args = {
    "CHECKED" = "base-web-cuda"
    "PACKAGES" = ""
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "base-ml-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:base-ml"
  }
  args = {
    "CHECKED" = "base-ml"
    "PACKAGES" = ""
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "base-ml-cuda-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:base-ml-cuda"
  }
  args = {
    "CHECKED" = "base-ml-cuda"
    "PACKAGES" = ""
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "tool-gpu-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:tool-gpu"
  }
  args = {
    "CHECKED" = "tool-gpu"
    "PACKAGES" = ""
  }
  platforms = ["linux/amd64"]
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
    "PACKAGES" = ""
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "embed-cuda-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:embed-cuda"
  }
  args = {
    "CHECKED" = "embed-cuda"
    "PACKAGES" = ""
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "tool-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:tool"
  }
  args = {
    "CHECKED" = "tool"
    "PACKAGES" = ""
  }
  output = ["type=cacheonly"]
}
