group "default" {
  targets = ["by-hand", "second", "guarded"]
}

group "bases" {
  targets = ["runtime", "base-web"]
}

group "smoke" {
  targets = ["by-hand-smoke"]
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
    "slimbake.project" = "ways"
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
    "python" = "docker-image://registry.example.com:5000/python:3.12@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com:5000/python:3.12"
    "org.opencontainers.image.title" = "runtime"
    "slimbake.project" = "ways"
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
    "builder" = "docker-image://registry.example.com:5000/python:3.12@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }
  args = {
    "LAYER" = "layer_base-web"
  }
  output = ["type=cacheonly"]
}

target "layer_second" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://registry.example.com:5000/python:3.12@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }
  args = {
    "LAYER" = "layer_second"
  }
  platforms = ["linux/arm64"]
  output = ["type=cacheonly"]
}

target "layer_guarded" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://registry.example.com:5000/python:3.12@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
  }
  args = {
    "LAYER" = "layer_guarded"
  }
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
    "org.opencontainers.image.base.name" = "registry.example.com:5000/python:3.12"
    "org.opencontainers.image.title" = "base-web"
    "slimbake.project" = "ways"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-web"
  }
  output = image("base-web")
  tags = ["${REGISTRY}/base-web:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-web")
  cache-to = cache(CACHE_TO, "base-web")
}

target "by-hand" {
  inherits = ["_common"]
  context = "by-hand"
  dockerfile = "Dockerfile"
  target = "served"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:base-web"
    "assets" = "assets"
    "alpine" = "docker-image://alpine:3.22"
  }
  args = {
    "COLOUR" = "blue"
    "LEVEL" = "3"
  }
  labels = {
    "org.opencontainers.image.title" = "by-hand"
    "slimbake.project" = "ways"
    "slimbake.promise" = "kept"
    "slimbake.target" = "by-hand"
  }
  output = image("by-hand")
  tags = ["${REGISTRY}/by-hand:${TAG}"]
  cache-from = cache(CACHE_FROM, "by-hand")
  cache-to = cache(CACHE_TO, "by-hand")
}

target "second" {
  inherits = ["_common"]
  context = "second"
  dockerfile = "../bake/dockerfiles/second.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://registry.example.com:5000/python:3.12@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    "base" = "target:base-web"
    "layer_second" = "target:layer_second"
    "first" = "target:by-hand"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com:5000/python:3.12"
    "org.opencontainers.image.title" = "the second"
    "owner" = "people"
    "slimbake.project" = "ways"
    "slimbake.promise" = "kept"
    "slimbake.target" = "second"
  }
  platforms = ["linux/arm64"]
  output = image("second")
  tags = ["${REGISTRY}/second:${TAG}"]
  cache-from = cache(CACHE_FROM, "second")
  cache-to = cache(CACHE_TO, "second")
}

target "guarded" {
  inherits = ["_common"]
  context = "guarded"
  dockerfile = "../bake/dockerfiles/guarded.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://registry.example.com:5000/python:3.12@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
    "base" = "target:base-web"
    "layer_guarded" = "target:layer_guarded"
  }
  args = {
    "ENV_MODE" = "strict"
    "ENV_LEVEL" = "3"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com:5000/python:3.12"
    "org.opencontainers.image.title" = "guarded"
    "slimbake.project" = "ways"
    "slimbake.promise" = "kept"
    "slimbake.target" = "guarded"
  }
  secret = ["id=index-token,env=INDEX_TOKEN", "id=netrc,src=secrets/netrc"]
  output = image("guarded")
  tags = ["${REGISTRY}/guarded:${TAG}"]
  cache-from = cache(CACHE_FROM, "guarded")
  cache-to = cache(CACHE_TO, "guarded")
}

target "by-hand-smoke" {
  inherits = ["_common"]
  context = "by-hand"
  dockerfile = "../bake/dockerfiles/smoke-own.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:by-hand"
  }
  args = {
    "SLIMBAKE_SMOKE" = "smoke.py"
    "SLIMBAKE_REFERENCE" = "stored/answers.json"
    "SLIMBAKE_ENV" = "{\"TOKEN\": \"none\"}"
  }
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
  output = ["type=cacheonly"]
}

target "second-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:second"
  }
  args = {
    "CHECKED" = "second"
    "PACKAGES" = ""
  }
  platforms = ["linux/arm64"]
  output = ["type=cacheonly"]
}

target "guarded-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:guarded"
  }
  args = {
    "CHECKED" = "guarded"
    "PACKAGES" = ""
  }
  output = ["type=cacheonly"]
}
