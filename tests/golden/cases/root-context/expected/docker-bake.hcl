group "default" {
  targets = ["app"]
}

group "bases" {
  targets = ["runtime"]
}

group "smoke" {
  targets = ["app-smoke"]
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
    "slimbake.project" = "whole"
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
    "python" = "docker-image://python:3.14-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.14-slim-trixie"
    "org.opencontainers.image.title" = "runtime"
    "slimbake.project" = "whole"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "layer_app" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.14-slim-trixie"
  }
  args = {
    "LAYER" = "layer_app"
  }
  output = ["type=cacheonly"]
}

target "weights-weights" {
  inherits = ["_common"]
  context = "weights"
  dockerfile = "../bake/dockerfiles/weights-weights.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.14-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-weights"
    "slimbake.project" = "whole"
    "slimbake.target" = "weights-weights"
  }
  output = ["type=cacheonly"]
}

target "app" {
  inherits = ["_common"]
  context = "."
  dockerfile = "bake/dockerfiles/app.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.14-slim-trixie"
    "base" = "target:runtime"
    "weights-weights" = "target:weights-weights"
    "layer_app" = "target:layer_app"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.14-slim-trixie"
    "org.opencontainers.image.title" = "app"
    "slimbake.project" = "whole"
    "slimbake.promise" = "kept"
    "slimbake.target" = "app"
  }
  output = image("app")
  tags = ["${REGISTRY}/app:${TAG}"]
  cache-from = cache(CACHE_FROM, "app")
  cache-to = cache(CACHE_TO, "app")
}

target "app-smoke" {
  inherits = ["_common"]
  context = "."
  dockerfile = "bake/dockerfiles/smoke.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:app"
  }
  args = {
    "SLIMBAKE_SMOKE" = "checks/smoke.py"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  output = ["type=cacheonly"]
}

target "app-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:app"
  }
  args = {
    "CHECKED" = "app"
    "PACKAGES" = ""
  }
  output = ["type=cacheonly"]
}
