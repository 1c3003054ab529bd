group "default" {
  targets = ["api", "old", "tool"]
}

group "bases" {
  targets = ["runtime", "runtime-3_13", "base-web"]
}

group "smoke" {
  targets = ["api-smoke"]
}

group "py311" {
  targets = ["tool"]
}

group "py313" {
  targets = ["tool-py313"]
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
    "python" = "docker-image://registry.example.com/python:3.11"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com/python:3.11"
    "org.opencontainers.image.title" = "runtime"
    "slimbake.project" = "atlas"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "runtime-3_13" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/runtime-3.13.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "python-3.13" = "docker-image://registry.example.com/python:3.13"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com/python:3.13"
    "org.opencontainers.image.title" = "runtime-3_13"
    "slimbake.project" = "atlas"
    "slimbake.target" = "runtime-3_13"
  }
  output = image("runtime-3_13")
  tags = ["${REGISTRY}/runtime:${TAG}-3.13"]
  cache-from = cache(CACHE_FROM, "runtime-3_13")
  cache-to = cache(CACHE_TO, "runtime-3_13")
}

target "wheel-common" {
  inherits = ["_common", "_online"]
  context = "common"
  dockerfile = "../bake/dockerfiles/wheel-common.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://registry.example.com/builder:11"
  }
  labels = {
    "org.opencontainers.image.title" = "wheel-common"
    "slimbake.project" = "atlas"
    "slimbake.target" = "wheel-common"
  }
  output = ["type=cacheonly"]
}

target "wheel-common-3_13" {
  inherits = ["_common", "_online"]
  context = "common"
  dockerfile = "../bake/dockerfiles/wheel-common-3_13.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder-3.13" = "docker-image://registry.example.com/builder:13"
  }
  labels = {
    "org.opencontainers.image.title" = "wheel-common-3_13"
    "slimbake.project" = "atlas"
    "slimbake.target" = "wheel-common-3_13"
  }
  output = ["type=cacheonly"]
}

target "layer_base-web" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer-3.13.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder-3.13" = "docker-image://registry.example.com/builder:13"
  }
  args = {
    "LAYER" = "layer_base-web"
  }
  output = ["type=cacheonly"]
}

target "layer_api" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer-3.13.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder-3.13" = "docker-image://registry.example.com/builder:13"
  }
  args = {
    "LAYER" = "layer_api"
  }
  output = ["type=cacheonly"]
}

target "layer_old" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://registry.example.com/builder:11"
  }
  args = {
    "LAYER" = "layer_old"
  }
  output = ["type=cacheonly"]
}

target "layer_tool" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://registry.example.com/builder:11"
  }
  args = {
    "LAYER" = "layer_tool"
  }
  output = ["type=cacheonly"]
}

target "layer_tool-py313" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer-3.13.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder-3.13" = "docker-image://registry.example.com/builder:13"
  }
  args = {
    "LAYER" = "layer_tool-py313"
  }
  output = ["type=cacheonly"]
}

target "base-web" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-web.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime-3_13"
    "layer_base-web" = "target:layer_base-web"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com/python:3.13"
    "org.opencontainers.image.title" = "base-web"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-web"
  }
  output = image("base-web")
  tags = ["${REGISTRY}/base-web:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-web")
  cache-to = cache(CACHE_TO, "base-web")
}

target "api" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/api.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder-3.13" = "docker-image://registry.example.com/builder:13"
    "base" = "target:base-web"
    "layer_api" = "target:layer_api"
    "wheel-common-3_13" = "target:wheel-common-3_13"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com/python:3.13"
    "org.opencontainers.image.title" = "api"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "api"
  }
  output = image("api")
  tags = ["${REGISTRY}/api:${TAG}"]
  cache-from = cache(CACHE_FROM, "api")
  cache-to = cache(CACHE_TO, "api")
}

target "old" {
  inherits = ["_common", "_online"]
  context = "api"
  dockerfile = "../bake/dockerfiles/old.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "python" = "docker-image://registry.example.com/python:3.11"
    "builder" = "docker-image://registry.example.com/builder:11"
    "base" = "target:runtime"
    "layer_old" = "target:layer_old"
    "wheel-common" = "target:wheel-common"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com/python:3.11"
    "org.opencontainers.image.title" = "old"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "old"
  }
  output = image("old")
  tags = ["${REGISTRY}/old:${TAG}"]
  cache-from = cache(CACHE_FROM, "old")
  cache-to = cache(CACHE_TO, "old")
}

target "tool" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/tool.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://registry.example.com/builder:11"
    "base" = "target:runtime"
    "layer_tool" = "target:layer_tool"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com/python:3.11"
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

target "tool-py313" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/tool-py313.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder-3.13" = "docker-image://registry.example.com/builder:13"
    "base" = "target:runtime-3_13"
    "layer_tool-py313" = "target:layer_tool-py313"
  }
  labels = {
    "org.opencontainers.image.base.name" = "registry.example.com/python:3.13"
    "org.opencontainers.image.title" = "tool-py313"
    "slimbake.project" = "atlas"
    "slimbake.promise" = "kept"
    "slimbake.target" = "tool-py313"
  }
  output = image("tool-py313")
  tags = ["${REGISTRY}/tool:${TAG}-py313"]
  cache-from = cache(CACHE_FROM, "tool-py313")
  cache-to = cache(CACHE_TO, "tool-py313")
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
    "SLIMBAKE_TMPFS" = "/home/nonroot"
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
    "PACKAGES" = "common"
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
    "PACKAGES" = "common"
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

target "tool-py313-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:tool-py313"
  }
  args = {
    "CHECKED" = "tool-py313"
    "PACKAGES" = ""
  }
  output = ["type=cacheonly"]
}
