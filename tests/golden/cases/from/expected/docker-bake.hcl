group "default" {
  targets = ["api", "worker", "old", "bare", "own", "kept"]
}

group "bases" {
  targets = ["runtime", "runtime_nvidia-cuda-12-6-3-runtime-ubuntu24-04_e12ea664", "runtime_registry-example-com-hardened-1_62820cd3-3_11", "runtime_debian-13-slim_df2dc25d", "base-cuda"]
}

group "smoke" {
  targets = ["api-smoke"]
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
    "uv" = "docker-image://ghcr.io/astral-sh/uv:0.13.9@sha256:0000000000000000000000000000000000000000000000000000000000000005"
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
    "python" = "docker-image://python:3.13-slim-trixie@sha256:0000000000000000000000000000000000000000000000000000000000000001"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.13-slim-trixie"
    "org.opencontainers.image.title" = "runtime"
    "slimbake.project" = "atlas"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "runtime-3_11" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/runtime-3.11.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "python-3.11" = "docker-image://python:3.11-slim-trixie@sha256:0000000000000000000000000000000000000000000000000000000000000003"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "runtime-3_11"
    "slimbake.project" = "atlas"
    "slimbake.target" = "runtime-3_11"
  }
  output = image("runtime-3_11")
  tags = ["${REGISTRY}/runtime:${TAG}-3.11"]
  cache-from = cache(CACHE_FROM, "runtime-3_11")
  cache-to = cache(CACHE_TO, "runtime-3_11")
}

target "runtime_nvidia-cuda-12-6-3-runtime-ubuntu24-04_e12ea664" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/runtime-nvidia-cuda-12-6-3-runtime-ubuntu24-04_e12ea664.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "from_nvidia-cuda-12-6-3-runtime-ubuntu24-04_e12ea664" = "docker-image://nvidia/cuda:12.6.3-runtime-ubuntu24.04@sha256:0000000000000000000000000000000000000000000000000000000000000006"
  }
  labels = {
    "org.opencontainers.image.base.name" = "nvidia/cuda:12.6.3-runtime-ubuntu24.04"
    "org.opencontainers.image.title" = "runtime_nvidia-cuda-12-6-3-runtime-ubuntu24-04_e12ea664"
    "slimbake.project" = "atlas"
    "slimbake.target" = "runtime_nvidia-cuda-12-6-3-runtime-ubuntu24-04_e12ea664"
  }
  output = image("runtime_nvidia-cuda-12-6-3-runtime-ubuntu24-04_e12ea664")
  tags = ["${REGISTRY}/runtime:${TAG}-nvidia-cuda-12-6-3-runtime-ubuntu24-04_e12ea664"]
  cache-from = cache(CACHE_FROM, "runtime_nvidia-cuda-12-6-3-runtime-ubuntu24-04_e12ea664")
  cache-to = cache(CACHE_TO, "runtime_nvidia-cuda-12-6-3-runtime-ubuntu24-04_e12ea664")
}

target "runtime_registry-example-com-hardened-1_62820cd3-3_11" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/runtime-registry-example-com-hardened-1_62820cd3-3_11.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "from_registry-example-com-hardened-1_62820cd3-3_11" = "docker-image://registry.example.com/hardened:1@sha256:0000000000000000000000000000000000000000000000000000000000000007"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com/hardened:1"
    "org.opencontainers.image.title" = "runtime_registry-example-com-hardened-1_62820cd3-3_11"
    "slimbake.project" = "atlas"
    "slimbake.target" = "runtime_registry-example-com-hardened-1_62820cd3-3_11"
  }
  output = image("runtime_registry-example-com-hardened-1_62820cd3-3_11")
  tags = ["${REGISTRY}/runtime:${TAG}-registry-example-com-hardened-1_62820cd3-3_11"]
  cache-from = cache(CACHE_FROM, "runtime_registry-example-com-hardened-1_62820cd3-3_11")
  cache-to = cache(CACHE_TO, "runtime_registry-example-com-hardened-1_62820cd3-3_11")
}

target "runtime_debian-13-slim_df2dc25d" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/runtime-debian-13-slim_df2dc25d.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "from_debian-13-slim_df2dc25d" = "docker-image://debian:13-slim@sha256:0000000000000000000000000000000000000000000000000000000000000008"
    "python" = "docker-image://python:3.13-slim-trixie@sha256:0000000000000000000000000000000000000000000000000000000000000001"
  }
  labels = {
    "org.opencontainers.image.base.name" = "debian:13-slim"
    "org.opencontainers.image.title" = "runtime_debian-13-slim_df2dc25d"
    "slimbake.project" = "atlas"
    "slimbake.target" = "runtime_debian-13-slim_df2dc25d"
  }
  output = image("runtime_debian-13-slim_df2dc25d")
  tags = ["${REGISTRY}/runtime:${TAG}-debian-13-slim_df2dc25d"]
  cache-from = cache(CACHE_FROM, "runtime_debian-13-slim_df2dc25d")
  cache-to = cache(CACHE_TO, "runtime_debian-13-slim_df2dc25d")
}

target "layer_base-cuda" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie@sha256:0000000000000000000000000000000000000000000000000000000000000002"
  }
  args = {
    "LAYER" = "layer_base-cuda"
  }
  output = ["type=cacheonly"]
}

target "layer_old" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer-3.11.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder-3.11" = "docker-image://python:3.11-slim-trixie@sha256:0000000000000000000000000000000000000000000000000000000000000004"
  }
  args = {
    "LAYER" = "layer_old"
  }
  output = ["type=cacheonly"]
}

target "layer_bare" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie@sha256:0000000000000000000000000000000000000000000000000000000000000002"
  }
  args = {
    "LAYER" = "layer_bare"
  }
  output = ["type=cacheonly"]
}

target "base-cuda" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-cuda.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime_nvidia-cuda-12-6-3-runtime-ubuntu24-04_e12ea664"
    "layer_base-cuda" = "target:layer_base-cuda"
  }
  labels = {
    "org.opencontainers.image.base.name" = "nvidia/cuda:12.6.3-runtime-ubuntu24.04"
    "org.opencontainers.image.title" = "base-cuda"
    "slimbake.lock" = "sha256:13a5fbca59663e9ad490e35292dcc539fc494119610d16111baec8c57aa573ed"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-cuda"
  }
  output = image("base-cuda")
  tags = ["${REGISTRY}/base-cuda:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-cuda")
  cache-to = cache(CACHE_TO, "base-cuda")
}

target "api" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/api.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie@sha256:0000000000000000000000000000000000000000000000000000000000000002"
    "base" = "target:base-cuda"
  }
  labels = {
    "org.opencontainers.image.base.name" = "nvidia/cuda:12.6.3-runtime-ubuntu24.04"
    "org.opencontainers.image.title" = "api"
    "slimbake.lock" = "sha256:13a5fbca59663e9ad490e35292dcc539fc494119610d16111baec8c57aa573ed"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "api"
  }
  output = image("api")
  tags = ["${REGISTRY}/api:${TAG}"]
  cache-from = cache(CACHE_FROM, "api")
  cache-to = cache(CACHE_TO, "api")
}

target "worker" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/worker.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie@sha256:0000000000000000000000000000000000000000000000000000000000000002"
    "base" = "target:base-cuda"
  }
  labels = {
    "org.opencontainers.image.base.name" = "nvidia/cuda:12.6.3-runtime-ubuntu24.04"
    "org.opencontainers.image.title" = "worker"
    "slimbake.lock" = "sha256:13a5fbca59663e9ad490e35292dcc539fc494119610d16111baec8c57aa573ed"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "worker"
  }
  output = image("worker")
  tags = ["${REGISTRY}/worker:${TAG}"]
  cache-from = cache(CACHE_FROM, "worker")
  cache-to = cache(CACHE_TO, "worker")
}

target "old" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/old.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder-3.11" = "docker-image://python:3.11-slim-trixie@sha256:0000000000000000000000000000000000000000000000000000000000000004"
    "base" = "target:runtime_registry-example-com-hardened-1_62820cd3-3_11"
    "layer_old" = "target:layer_old"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com/hardened:1"
    "org.opencontainers.image.title" = "old"
    "slimbake.lock" = "sha256:13a5fbca59663e9ad490e35292dcc539fc494119610d16111baec8c57aa573ed"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "old"
  }
  output = image("old")
  tags = ["${REGISTRY}/old:${TAG}"]
  cache-from = cache(CACHE_FROM, "old")
  cache-to = cache(CACHE_TO, "old")
}

target "bare" {
  inherits = ["_common", "_online"]
  context = "api"
  dockerfile = "../bake/dockerfiles/bare.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie@sha256:0000000000000000000000000000000000000000000000000000000000000002"
    "base" = "target:runtime_debian-13-slim_df2dc25d"
    "layer_bare" = "target:layer_bare"
  }
  labels = {
    "org.opencontainers.image.base.name" = "debian:13-slim"
    "org.opencontainers.image.title" = "bare"
    "slimbake.lock" = "sha256:5e4e6acb4dcf749d99faf9536e7f0d3b194a3a77673012a36dd2781788897ea7"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "bare"
  }
  output = image("bare")
  tags = ["${REGISTRY}/bare:${TAG}"]
  cache-from = cache(CACHE_FROM, "bare")
  cache-to = cache(CACHE_TO, "bare")
}

target "own" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/own.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie@sha256:0000000000000000000000000000000000000000000000000000000000000002"
    "base" = "target:runtime"
    "layer_bare" = "target:layer_bare"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.13-slim-trixie"
    "org.opencontainers.image.title" = "own"
    "slimbake.lock" = "sha256:13a5fbca59663e9ad490e35292dcc539fc494119610d16111baec8c57aa573ed"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "own"
  }
  output = image("own")
  tags = ["${REGISTRY}/own:${TAG}"]
  cache-from = cache(CACHE_FROM, "own")
  cache-to = cache(CACHE_TO, "own")
}

target "kept" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:base-cuda"
  }
  labels = {
    "org.opencontainers.image.title" = "kept"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "kept"
  }
  output = image("kept")
  tags = ["${REGISTRY}/kept:${TAG}"]
  cache-from = cache(CACHE_FROM, "kept")
  cache-to = cache(CACHE_TO, "kept")
}

target "api-smoke" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/smoke.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:api"
  }
  args = {
    "SLIMBAKE_SMOKE" = "smoke.py"
    "SLIMBAKE_TMPFS" = "/home/app"
  }
  output = ["type=cacheonly"]
}

target "base-cuda-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:base-cuda"
  }
  args = {
    "CHECKED" = "base-cuda"
    "PACKAGES" = "click"
  }
  output = ["type=cacheonly"]
}

target "old-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:old"
  }
  args = {
    "CHECKED" = "old"
    "PACKAGES" = "click"
  }
  output = ["type=cacheonly"]
}

target "bare-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:bare"
  }
  args = {
    "CHECKED" = "bare"
    "PACKAGES" = "click"
  }
  output = ["type=cacheonly"]
}

target "own-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:own"
  }
  args = {
    "CHECKED" = "own"
    "PACKAGES" = "click"
  }
  output = ["type=cacheonly"]
}
