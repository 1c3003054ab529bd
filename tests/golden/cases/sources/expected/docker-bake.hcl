group "default" {
  targets = ["one", "two"]
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
    "slimbake.project" = "sources"
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
    "slimbake.project" = "sources"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "wheel-docopt" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/wheel-docopt.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "wheel-docopt"
    "slimbake.project" = "sources"
    "slimbake.target" = "wheel-docopt"
  }
  output = ["type=cacheonly"]
}

target "wheel-tool" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/wheel-tool.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "python" = "docker-image://python:3.11-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "wheel-tool"
    "slimbake.project" = "sources"
    "slimbake.target" = "wheel-tool"
  }
  output = ["type=cacheonly"]
}

target "layer_one" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer_one.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "wheel-tool" = "target:wheel-tool"
  }
  args = {
    "LAYER" = "layer_one"
  }
  output = ["type=cacheonly"]
}

target "layer_two" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer_two.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "wheel-docopt" = "target:wheel-docopt"
  }
  args = {
    "LAYER" = "layer_two"
  }
  output = ["type=cacheonly"]
}

target "one" {
  inherits = ["_common"]
  context = "one"
  dockerfile = "../bake/dockerfiles/one.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "layer_one" = "target:layer_one"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "one"
    "slimbake.lock" = "sha256:50fe9e04593bb279c55d2a5b0e998c130f8e249ebda9148434d4bfb065f1cfc4"
    "slimbake.project" = "sources"
    "slimbake.promise" = "kept"
    "slimbake.target" = "one"
  }
  output = image("one")
  tags = ["${REGISTRY}/one:${TAG}"]
  cache-from = cache(CACHE_FROM, "one")
  cache-to = cache(CACHE_TO, "one")
}

target "two" {
  inherits = ["_common"]
  context = "two"
  dockerfile = "../bake/dockerfiles/two.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "layer_two" = "target:layer_two"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "two"
    "slimbake.lock" = "sha256:3a43cca55f41c202cc45f6c297f3a5710f173c02748e00a26d6955d134874545"
    "slimbake.project" = "sources"
    "slimbake.promise" = "kept"
    "slimbake.target" = "two"
  }
  output = image("two")
  tags = ["${REGISTRY}/two:${TAG}"]
  cache-from = cache(CACHE_FROM, "two")
  cache-to = cache(CACHE_TO, "two")
}

target "one-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:one"
  }
  args = {
    "CHECKED" = "one"
    "PACKAGES" = "tool"
  }
  output = ["type=cacheonly"]
}

target "two-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:two"
  }
  args = {
    "CHECKED" = "two"
    "PACKAGES" = "docopt"
  }
  output = ["type=cacheonly"]
}
