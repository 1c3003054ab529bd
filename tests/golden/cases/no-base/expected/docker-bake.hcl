group "default" {
  targets = ["tool", "files"]
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
  labels = {
    "org.opencontainers.image.title" = "inside"
    "slimbake.project" = "lone"
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
    "slimbake.project" = "lone"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "tool" {
  inherits = ["_common"]
  context = "tool"
  dockerfile = "../bake/dockerfiles/tool.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "tool"
    "slimbake.project" = "lone"
    "slimbake.promise" = "kept"
    "slimbake.target" = "tool"
  }
  output = image("tool")
  tags = ["${REGISTRY}/tool:${TAG}"]
  cache-from = cache(CACHE_FROM, "tool")
  cache-to = cache(CACHE_TO, "tool")
}

target "files" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/files.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "files"
    "slimbake.project" = "lone"
    "slimbake.promise" = "kept"
    "slimbake.target" = "files"
  }
  output = image("files")
  tags = ["${REGISTRY}/files:${TAG}"]
  cache-from = cache(CACHE_FROM, "files")
  cache-to = cache(CACHE_TO, "files")
}
