group "default" {
  targets = ["web", "api", "tool"]
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
    "slimbake.project" = "copies"
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
    "slimbake.project" = "copies"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "layer_web" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_web"
  }
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

target "stage_frontend_80b79ce9" {
  inherits = ["_common"]
  context = "web"
  dockerfile = "Dockerfile"
  target = "frontend"
  args = {
    "NODE_ENV" = "production"
  }
  secret = ["id=npm-token,env=NPM_TOKEN"]
  output = ["type=cacheonly"]
}

target "stage_web-dockerfile_e205f6e6" {
  inherits = ["_common"]
  context = "web"
  dockerfile = "Dockerfile"
  output = ["type=cacheonly"]
}

target "web" {
  inherits = ["_common"]
  context = "web"
  dockerfile = "../bake/dockerfiles/web.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "layer_web" = "target:layer_web"
    "build-image-node-22-8a02eda3" = "docker-image://node:22"
    "build-image-caddy-2-60eaacfb" = "docker-image://caddy:2"
    "stage_frontend_80b79ce9" = "target:stage_frontend_80b79ce9"
    "stage_web-dockerfile_e205f6e6" = "target:stage_web-dockerfile_e205f6e6"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "web"
    "slimbake.project" = "copies"
    "slimbake.promise" = "kept"
    "slimbake.target" = "web"
  }
  secret = ["id=npm-token,env=NPM_TOKEN"]
  output = image("web")
  tags = ["${REGISTRY}/web:${TAG}"]
  cache-from = cache(CACHE_FROM, "web")
  cache-to = cache(CACHE_TO, "web")
}

target "api" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/api.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "stage_web-dockerfile_e205f6e6" = "target:stage_web-dockerfile_e205f6e6"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "api"
    "slimbake.project" = "copies"
    "slimbake.promise" = "kept"
    "slimbake.target" = "api"
  }
  output = image("api")
  tags = ["${REGISTRY}/api:${TAG}"]
  cache-from = cache(CACHE_FROM, "api")
  cache-to = cache(CACHE_TO, "api")
}

target "tool" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/tool.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
    "layer_tool" = "target:layer_tool"
    "build-image-node-22-8a02eda3" = "docker-image://node:22"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "tool"
    "slimbake.project" = "copies"
    "slimbake.promise" = "kept"
    "slimbake.target" = "tool"
  }
  output = image("tool")
  tags = ["${REGISTRY}/tool:${TAG}"]
  cache-from = cache(CACHE_FROM, "tool")
  cache-to = cache(CACHE_TO, "tool")
}

target "web-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:web"
  }
  args = {
    "CHECKED" = "web"
    "PACKAGES" = ""
  }
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
