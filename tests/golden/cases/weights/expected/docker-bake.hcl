group "default" {
  targets = ["embed", "rank", "speak", "listen", "answer"]
}

group "bases" {
  targets = ["runtime", "base-ml", "base-vision"]
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
    "slimbake.project" = "models"
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
    "slimbake.project" = "models"
    "slimbake.target" = "runtime"
  }
  output = image("runtime")
  tags = ["${REGISTRY}/runtime:${TAG}"]
  cache-from = cache(CACHE_FROM, "runtime")
  cache-to = cache(CACHE_TO, "runtime")
}

target "layer_base-ml" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-ml"
  }
  output = ["type=cacheonly"]
}

target "layer_base-vision" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-vision"
  }
  output = ["type=cacheonly"]
}

target "layer_rank" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_rank"
  }
  output = ["type=cacheonly"]
}

target "layer_speak" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_speak"
  }
  output = ["type=cacheonly"]
}

target "base-ml" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-ml.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
    "layer_base-ml" = "target:layer_base-ml"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-ml"
    "slimbake.project" = "models"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-ml"
  }
  output = image("base-ml")
  tags = ["${REGISTRY}/base-ml:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-ml")
  cache-to = cache(CACHE_TO, "base-ml")
}

target "base-vision" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-vision.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:base-ml"
    "layer_base-vision" = "target:layer_base-vision"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-vision"
    "slimbake.project" = "models"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-vision"
  }
  output = image("base-vision")
  tags = ["${REGISTRY}/base-vision:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-vision")
  cache-to = cache(CACHE_TO, "base-vision")
}

target "weights-some-model-v2" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/weights-some-model-v2.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-some-model-v2"
    "slimbake.project" = "models"
    "slimbake.target" = "weights-some-model-v2"
  }
  output = ["type=cacheonly"]
}

target "weights-speak-model" {
  inherits = ["_common"]
  context = "speak/model"
  dockerfile = "../../bake/dockerfiles/weights-speak-model.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-speak-model"
    "slimbake.project" = "models"
    "slimbake.target" = "weights-speak-model"
  }
  output = ["type=cacheonly"]
}

target "weights-models-small-en-7ef02e" {
  inherits = ["_common"]
  context = "models/small.en"
  dockerfile = "../../bake/dockerfiles/weights-models-small-en-7ef02e.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-models-small-en-7ef02e"
    "slimbake.project" = "models"
    "slimbake.target" = "weights-models-small-en-7ef02e"
  }
  output = ["type=cacheonly"]
}

target "weights-models-small-en-758b84" {
  inherits = ["_common"]
  context = "models/small-en"
  dockerfile = "../../bake/dockerfiles/weights-models-small-en-758b84.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-models-small-en-758b84"
    "slimbake.project" = "models"
    "slimbake.target" = "weights-models-small-en-758b84"
  }
  output = ["type=cacheonly"]
}

target "embed" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/embed.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-ml"
    "weights-some-model-v2" = "target:weights-some-model-v2"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "embed"
    "slimbake.project" = "models"
    "slimbake.promise" = "kept"
    "slimbake.target" = "embed"
  }
  output = image("embed")
  tags = ["${REGISTRY}/embed:${TAG}"]
  cache-from = cache(CACHE_FROM, "embed")
  cache-to = cache(CACHE_TO, "embed")
}

target "rank" {
  inherits = ["_common"]
  context = "rank"
  dockerfile = "../bake/dockerfiles/rank.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-vision"
    "weights-some-model-v2" = "target:weights-some-model-v2"
    "layer_rank" = "target:layer_rank"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "rank"
    "slimbake.project" = "models"
    "slimbake.promise" = "kept"
    "slimbake.target" = "rank"
  }
  output = image("rank")
  tags = ["${REGISTRY}/rank:${TAG}"]
  cache-from = cache(CACHE_FROM, "rank")
  cache-to = cache(CACHE_TO, "rank")
}

target "speak" {
  inherits = ["_common"]
  context = "speak"
  dockerfile = "../bake/dockerfiles/speak.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-ml"
    "weights-speak-model" = "target:weights-speak-model"
    "layer_speak" = "target:layer_speak"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "speak"
    "slimbake.project" = "models"
    "slimbake.promise" = "kept"
    "slimbake.target" = "speak"
  }
  output = image("speak")
  tags = ["${REGISTRY}/speak:${TAG}"]
  cache-from = cache(CACHE_FROM, "speak")
  cache-to = cache(CACHE_TO, "speak")
}

target "listen" {
  inherits = ["_common"]
  context = "listen"
  dockerfile = "../bake/dockerfiles/listen.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-ml"
    "weights-models-small-en-7ef02e" = "target:weights-models-small-en-7ef02e"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "listen"
    "slimbake.project" = "models"
    "slimbake.promise" = "kept"
    "slimbake.target" = "listen"
  }
  output = image("listen")
  tags = ["${REGISTRY}/listen:${TAG}"]
  cache-from = cache(CACHE_FROM, "listen")
  cache-to = cache(CACHE_TO, "listen")
}

target "answer" {
  inherits = ["_common"]
  context = "answer"
  dockerfile = "../bake/dockerfiles/answer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "weights-models-small-en-758b84" = "target:weights-models-small-en-758b84"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "answer"
    "slimbake.project" = "models"
    "slimbake.promise" = "kept"
    "slimbake.target" = "answer"
  }
  output = image("answer")
  tags = ["${REGISTRY}/answer:${TAG}"]
  cache-from = cache(CACHE_FROM, "answer")
  cache-to = cache(CACHE_TO, "answer")
}

target "base-ml-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:base-ml"
  }
  args = {
    "CHECKED" = "base-ml"
    "PACKAGES" = ""
  }
  output = ["type=cacheonly"]
}

target "base-vision-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:base-vision"
  }
  args = {
    "CHECKED" = "base-vision"
    "PACKAGES" = ""
  }
  output = ["type=cacheonly"]
}

target "rank-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:rank"
  }
  args = {
    "CHECKED" = "rank"
    "PACKAGES" = ""
  }
  output = ["type=cacheonly"]
}

target "speak-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:speak"
  }
  args = {
    "CHECKED" = "speak"
    "PACKAGES" = ""
  }
  output = ["type=cacheonly"]
}
