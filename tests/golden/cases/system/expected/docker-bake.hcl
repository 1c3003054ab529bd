group "default" {
  targets = ["importer", "reader"]
}

group "bases" {
  targets = ["runtime", "base-database", "base-plain-files"]
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
    "slimbake.project" = "libraries"
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
    "slimbake.project" = "libraries"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "layer_base-database" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-database"
  }
  output = ["type=cacheonly"]
}

target "layer_reader" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_reader"
  }
  output = ["type=cacheonly"]
}

target "base-database" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-database.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "python" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "layer_base-database" = "target:layer_base-database"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-database"
    "slimbake.project" = "libraries"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-database"
  }
  output = image("base-database")
  tags = ["${REGISTRY}/base-database:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-database")
  cache-to = cache(CACHE_TO, "base-database")
}

target "base-plain-files" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-plain-files.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "python" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-plain-files"
    "slimbake.project" = "libraries"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-plain-files"
  }
  output = image("base-plain-files")
  tags = ["${REGISTRY}/base-plain-files:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-plain-files")
  cache-to = cache(CACHE_TO, "base-plain-files")
}

target "importer" {
  inherits = ["_common", "_online"]
  context = "importer"
  dockerfile = "../bake/dockerfiles/importer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "python" = "docker-image://python:3.11-slim-trixie"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-database"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "importer"
    "slimbake.project" = "libraries"
    "slimbake.promise" = "kept"
    "slimbake.target" = "importer"
  }
  output = image("importer")
  tags = ["${REGISTRY}/importer:${TAG}"]
  cache-from = cache(CACHE_FROM, "importer")
  cache-to = cache(CACHE_TO, "importer")
}

target "reader" {
  inherits = ["_common"]
  context = "reader"
  dockerfile = "../bake/dockerfiles/reader.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-plain-files"
    "layer_reader" = "target:layer_reader"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "reader"
    "slimbake.project" = "libraries"
    "slimbake.promise" = "kept"
    "slimbake.target" = "reader"
  }
  output = image("reader")
  tags = ["${REGISTRY}/reader:${TAG}"]
  cache-from = cache(CACHE_FROM, "reader")
  cache-to = cache(CACHE_TO, "reader")
}

target "base-database-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:base-database"
  }
  args = {
    "CHECKED" = "base-database"
    "PACKAGES" = ""
  }
  output = ["type=cacheonly"]
}

target "reader-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:reader"
  }
  args = {
    "CHECKED" = "reader"
    "PACKAGES" = ""
  }
  output = ["type=cacheonly"]
}
