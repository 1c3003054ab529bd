group "default" {
  targets = ["api", "admin", "other", "worker", "tool", "tool-with-defaults", "theirs", "theirs-asked", "theirs-hurried", "theirs-silent"]
}

group "bases" {
  targets = ["runtime"]
}

group "smoke" {
  targets = ["api-smoke"]
}

group "plain" {
  targets = ["api"]
}

group "plain-smoke" {
  targets = ["api-smoke"]
}

group "gpu" {
  targets = ["api-gpu"]
}

group "gpu-smoke" {
  targets = ["api-gpu-smoke"]
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
    "slimbake.project" = "ships"
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
    "python" = "docker-image://python:3.12-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.12-slim-trixie"
    "org.opencontainers.image.title" = "runtime"
    "slimbake.project" = "ships"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "api" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/api.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.12-slim-trixie"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.12-slim-trixie"
    "org.opencontainers.image.title" = "api"
    "slimbake.project" = "ships"
    "slimbake.promise" = "kept"
    "slimbake.target" = "api"
  }
  output = image("api")
  tags = ["${REGISTRY}/api:${TAG}"]
  cache-from = cache(CACHE_FROM, "api")
  cache-to = cache(CACHE_TO, "api")
}

target "api-gpu" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/api-gpu.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.12-slim-trixie"
    "base" = "target:runtime"
  }
  args = {
    "ENV_MODE" = "gpu"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.12-slim-trixie"
    "org.opencontainers.image.title" = "api-gpu"
    "slimbake.project" = "ships"
    "slimbake.promise" = "kept"
    "slimbake.target" = "api-gpu"
  }
  output = image("api-gpu")
  tags = ["${REGISTRY}/api:${TAG}-gpu"]
  cache-from = cache(CACHE_FROM, "api-gpu")
  cache-to = cache(CACHE_TO, "api-gpu")
}

target "admin" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/admin.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.12-slim-trixie"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.12-slim-trixie"
    "org.opencontainers.image.title" = "admin"
    "slimbake.project" = "ships"
    "slimbake.promise" = "kept"
    "slimbake.target" = "admin"
  }
  output = image("admin")
  tags = ["${REGISTRY}/admin:${TAG}"]
  cache-from = cache(CACHE_FROM, "admin")
  cache-to = cache(CACHE_TO, "admin")
}

target "other" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/other.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.12-slim-trixie"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.12-slim-trixie"
    "org.opencontainers.image.title" = "other"
    "slimbake.project" = "ships"
    "slimbake.promise" = "kept"
    "slimbake.target" = "other"
  }
  output = image("other")
  tags = ["${REGISTRY}/other:${TAG}"]
  cache-from = cache(CACHE_FROM, "other")
  cache-to = cache(CACHE_TO, "other")
}

target "worker" {
  inherits = ["_common"]
  context = "job"
  dockerfile = "../bake/dockerfiles/worker.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.12-slim-trixie"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.12-slim-trixie"
    "org.opencontainers.image.title" = "worker"
    "slimbake.project" = "ships"
    "slimbake.promise" = "kept"
    "slimbake.target" = "worker"
  }
  output = image("worker")
  tags = ["${REGISTRY}/worker:${TAG}"]
  cache-from = cache(CACHE_FROM, "worker")
  cache-to = cache(CACHE_TO, "worker")
}

target "tool" {
  inherits = ["_common"]
  context = "job"
  dockerfile = "../bake/dockerfiles/tool.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.12-slim-trixie"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.12-slim-trixie"
    "org.opencontainers.image.title" = "tool"
    "slimbake.project" = "ships"
    "slimbake.promise" = "kept"
    "slimbake.target" = "tool"
  }
  output = image("tool")
  tags = ["${REGISTRY}/tool:${TAG}"]
  cache-from = cache(CACHE_FROM, "tool")
  cache-to = cache(CACHE_TO, "tool")
}

target "tool-with-defaults" {
  inherits = ["_common"]
  context = "job"
  dockerfile = "../bake/dockerfiles/tool-with-defaults.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.12-slim-trixie"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.12-slim-trixie"
    "org.opencontainers.image.title" = "tool-with-defaults"
    "slimbake.project" = "ships"
    "slimbake.promise" = "kept"
    "slimbake.target" = "tool-with-defaults"
  }
  output = image("tool-with-defaults")
  tags = ["${REGISTRY}/tool-with-defaults:${TAG}"]
  cache-from = cache(CACHE_FROM, "tool-with-defaults")
  cache-to = cache(CACHE_TO, "tool-with-defaults")
}

target "theirs" {
  inherits = ["_common"]
  context = "job"
  dockerfile = "Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.title" = "theirs"
    "slimbake.project" = "ships"
    "slimbake.promise" = "kept"
    "slimbake.target" = "theirs"
  }
  output = image("theirs")
  tags = ["${REGISTRY}/theirs:${TAG}"]
  cache-from = cache(CACHE_FROM, "theirs")
  cache-to = cache(CACHE_TO, "theirs")
}

target "theirs-asked" {
  inherits = ["_common"]
  context = "job"
  dockerfile = "Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.title" = "theirs-asked"
    "slimbake.project" = "ships"
    "slimbake.promise" = "kept"
    "slimbake.target" = "theirs-asked"
  }
  output = image("theirs-asked")
  tags = ["${REGISTRY}/theirs-asked:${TAG}"]
  cache-from = cache(CACHE_FROM, "theirs-asked")
  cache-to = cache(CACHE_TO, "theirs-asked")
}

target "theirs-hurried" {
  inherits = ["_common"]
  context = "job"
  dockerfile = "Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.title" = "theirs-hurried"
    "slimbake.project" = "ships"
    "slimbake.promise" = "kept"
    "slimbake.target" = "theirs-hurried"
  }
  output = image("theirs-hurried")
  tags = ["${REGISTRY}/theirs-hurried:${TAG}"]
  cache-from = cache(CACHE_FROM, "theirs-hurried")
  cache-to = cache(CACHE_TO, "theirs-hurried")
}

target "theirs-silent" {
  inherits = ["_common"]
  context = "job"
  dockerfile = "Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.title" = "theirs-silent"
    "slimbake.project" = "ships"
    "slimbake.promise" = "kept"
    "slimbake.target" = "theirs-silent"
  }
  output = image("theirs-silent")
  tags = ["${REGISTRY}/theirs-silent:${TAG}"]
  cache-from = cache(CACHE_FROM, "theirs-silent")
  cache-to = cache(CACHE_TO, "theirs-silent")
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
    "SLIMBAKE_SMOKE" = "app.py"
    "SLIMBAKE_VOLUMES" = "/srv/uploads"
    "SLIMBAKE_TMPFS" = "/var/cache/api:/run/api:/home/app"
    "SLIMBAKE_USER" = "1000:1000"
    "SLIMBAKE_ENV" = "{\"TOKEN\": \"a \\\"$${b}\\\" %%{c}\"}"
  }
  output = ["type=cacheonly"]
}

target "api-gpu-smoke" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/smoke.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:api-gpu"
  }
  args = {
    "SLIMBAKE_SMOKE" = "app.py"
    "SLIMBAKE_VOLUMES" = "/srv/uploads"
    "SLIMBAKE_TMPFS" = "/var/cache/api:/run/api:/home/app"
    "SLIMBAKE_USER" = "1000:1000"
    "SLIMBAKE_ENV" = "{\"TOKEN\": \"a \\\"$${b}\\\" %%{c}\"}"
  }
  output = ["type=cacheonly"]
}
