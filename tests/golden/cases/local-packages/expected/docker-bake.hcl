group "default" {
  targets = ["api", "keeper", "alone"]
}

group "bases" {
  targets = ["runtime", "base-web", "base-store"]
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
    "slimbake.project" = "packages"
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
    "python" = "docker-image://python:3.13-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.13-slim-trixie"
    "org.opencontainers.image.title" = "runtime"
    "slimbake.project" = "packages"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "wheel-our-auth" {
  inherits = ["_common", "_online"]
  context = "libs/auth"
  dockerfile = "../../bake/dockerfiles/wheel-our-auth.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "wheel-our-auth"
    "slimbake.project" = "packages"
    "slimbake.target" = "wheel-our-auth"
  }
  output = ["type=cacheonly"]
}

target "wheel-our-common" {
  inherits = ["_common", "_online"]
  context = "libs/common"
  dockerfile = "../../bake/dockerfiles/wheel-our-common.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "wheel-our-common"
    "slimbake.project" = "packages"
    "slimbake.target" = "wheel-our-common"
  }
  output = ["type=cacheonly"]
}

target "wheel-our-disk" {
  inherits = ["_common", "_online"]
  context = "libs/disk"
  dockerfile = "../../bake/dockerfiles/wheel-our-disk.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "wheel-our-disk"
    "slimbake.project" = "packages"
    "slimbake.target" = "wheel-our-disk"
  }
  output = ["type=cacheonly"]
}

target "layer_base-web" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-web"
  }
  output = ["type=cacheonly"]
}

target "layer_base-store" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-store"
  }
  output = ["type=cacheonly"]
}

target "layer_api" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
  }
  args = {
    "LAYER" = "layer_api"
  }
  output = ["type=cacheonly"]
}

target "layer_keeper" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
  }
  args = {
    "LAYER" = "layer_keeper"
  }
  output = ["type=cacheonly"]
}

target "layer_alone" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
  }
  args = {
    "LAYER" = "layer_alone"
  }
  output = ["type=cacheonly"]
}

target "base-web" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-web.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
    "base" = "target:runtime"
    "layer_base-web" = "target:layer_base-web"
    "wheel-our-common" = "target:wheel-our-common"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.13-slim-trixie"
    "org.opencontainers.image.title" = "base-web"
    "slimbake.project" = "packages"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-web"
  }
  output = image("base-web")
  tags = ["${REGISTRY}/base-web:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-web")
  cache-to = cache(CACHE_TO, "base-web")
}

target "base-store" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-store.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
    "base" = "target:base-web"
    "layer_base-store" = "target:layer_base-store"
    "wheel-our-disk" = "target:wheel-our-disk"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.13-slim-trixie"
    "org.opencontainers.image.title" = "base-store"
    "slimbake.project" = "packages"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-store"
  }
  output = image("base-store")
  tags = ["${REGISTRY}/base-store:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-store")
  cache-to = cache(CACHE_TO, "base-store")
}

target "api" {
  inherits = ["_common"]
  context = "services/api"
  dockerfile = "../../bake/dockerfiles/api.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
    "base" = "target:base-web"
    "layer_api" = "target:layer_api"
    "wheel-our-auth" = "target:wheel-our-auth"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.13-slim-trixie"
    "org.opencontainers.image.title" = "api"
    "slimbake.project" = "packages"
    "slimbake.promise" = "kept"
    "slimbake.target" = "api"
  }
  output = image("api")
  tags = ["${REGISTRY}/api:${TAG}"]
  cache-from = cache(CACHE_FROM, "api")
  cache-to = cache(CACHE_TO, "api")
}

target "keeper" {
  inherits = ["_common"]
  context = "services/keeper"
  dockerfile = "../../bake/dockerfiles/keeper.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
    "base" = "target:base-store"
    "layer_keeper" = "target:layer_keeper"
    "wheel-our-auth" = "target:wheel-our-auth"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.13-slim-trixie"
    "org.opencontainers.image.title" = "keeper"
    "slimbake.project" = "packages"
    "slimbake.promise" = "kept"
    "slimbake.target" = "keeper"
  }
  output = image("keeper")
  tags = ["${REGISTRY}/keeper:${TAG}"]
  cache-from = cache(CACHE_FROM, "keeper")
  cache-to = cache(CACHE_TO, "keeper")
}

target "alone" {
  inherits = ["_common"]
  context = "services/alone"
  dockerfile = "../../bake/dockerfiles/alone.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.13-slim-trixie"
    "base" = "target:runtime"
    "layer_alone" = "target:layer_alone"
    "wheel-our-disk" = "target:wheel-our-disk"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.13-slim-trixie"
    "org.opencontainers.image.title" = "alone"
    "slimbake.project" = "packages"
    "slimbake.promise" = "kept"
    "slimbake.target" = "alone"
  }
  output = image("alone")
  tags = ["${REGISTRY}/alone:${TAG}"]
  cache-from = cache(CACHE_FROM, "alone")
  cache-to = cache(CACHE_TO, "alone")
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
    "PACKAGES" = "our-common"
  }
  output = ["type=cacheonly"]
}

target "base-store-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:base-store"
  }
  args = {
    "CHECKED" = "base-store"
    "PACKAGES" = "our-disk"
  }
  output = ["type=cacheonly"]
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
    "PACKAGES" = "our-auth"
  }
  output = ["type=cacheonly"]
}

target "keeper-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:keeper"
  }
  args = {
    "CHECKED" = "keeper"
    "PACKAGES" = "our-auth"
  }
  output = ["type=cacheonly"]
}

target "alone-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:alone"
  }
  args = {
    "CHECKED" = "alone"
    "PACKAGES" = "our-disk"
  }
  output = ["type=cacheonly"]
}
