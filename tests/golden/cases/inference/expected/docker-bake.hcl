group "default" {
  targets = ["api", "embed", "rank", "say", "see", "tell"]
}

group "bases" {
  targets = ["runtime", "base-web", "base-ml", "base-ml-onnx", "base-vision", "base-vision-onnx"]
}

group "smoke" {
  targets = ["embed-smoke"]
}

group "parity" {
  targets = ["rank-parity"]
}

group "torch" {
  targets = ["embed"]
}

group "torch-smoke" {
  targets = ["embed-smoke"]
}

group "onnx" {
  targets = ["embed-onnx"]
}

group "onnx-smoke" {
  targets = ["embed-onnx-smoke"]
}

group "onnx-parity" {
  targets = ["embed-onnx-parity"]
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
    "slimbake.project" = "graphs"
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
    "slimbake.project" = "graphs"
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
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-web"
  }
  output = ["type=cacheonly"]
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
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "layer_base-ml-onnx" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-ml-onnx"
  }
  output = ["type=cacheonly"]
}

target "layer_base-ml-export" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-ml-export"
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

target "layer_base-vision-export" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-vision-export"
  }
  output = ["type=cacheonly"]
}

target "layer_base-vision-onnx" {
  inherits = ["_common", "_online"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/layer.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  args = {
    "LAYER" = "layer_base-vision-onnx"
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
  platforms = ["linux/amd64"]
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
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-web"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-web"
  }
  output = image("base-web")
  tags = ["${REGISTRY}/base-web:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-web")
  cache-to = cache(CACHE_TO, "base-web")
}

target "base-ml" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-ml.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:base-web"
    "layer_base-ml" = "target:layer_base-ml"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-ml"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "removes"
    "slimbake.target" = "base-ml"
  }
  platforms = ["linux/amd64"]
  output = image("base-ml")
  tags = ["${REGISTRY}/base-ml:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-ml")
  cache-to = cache(CACHE_TO, "base-ml")
}

target "base-ml-onnx" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-ml-onnx.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:base-web"
    "layer_base-ml-onnx" = "target:layer_base-ml-onnx"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-ml-onnx"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-ml-onnx"
  }
  output = image("base-ml-onnx")
  tags = ["${REGISTRY}/base-ml-onnx:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-ml-onnx")
  cache-to = cache(CACHE_TO, "base-ml-onnx")
}

target "base-ml-export" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-ml-export.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
    "layer_base-ml-export" = "target:layer_base-ml-export"
  }
  labels = {
    "org.opencontainers.image.title" = "base-ml-export"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-ml-export"
  }
  output = ["type=cacheonly"]
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
    "slimbake.project" = "graphs"
    "slimbake.promise" = "removes"
    "slimbake.target" = "base-vision"
  }
  output = image("base-vision")
  tags = ["${REGISTRY}/base-vision:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-vision")
  cache-to = cache(CACHE_TO, "base-vision")
}

target "base-vision-export" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-vision-export.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
    "layer_base-vision-export" = "target:layer_base-vision-export"
  }
  labels = {
    "org.opencontainers.image.title" = "base-vision-export"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-vision-export"
  }
  output = ["type=cacheonly"]
}

target "base-vision-onnx" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/base-vision-onnx.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:base-web"
    "layer_base-vision-onnx" = "target:layer_base-vision-onnx"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-vision-onnx"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-vision-onnx"
  }
  output = image("base-vision-onnx")
  tags = ["${REGISTRY}/base-vision-onnx:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-vision-onnx")
  cache-to = cache(CACHE_TO, "base-vision-onnx")
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
    "slimbake.project" = "graphs"
    "slimbake.target" = "weights-some-model-v2"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "weights-some-model-v2-onnx-int8" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/weights-some-model-v2-onnx-int8.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-ml-export"
    "source" = "target:weights-some-model-v2"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-some-model-v2-onnx-int8"
    "slimbake.project" = "graphs"
    "slimbake.target" = "weights-some-model-v2-onnx-int8"
  }
  platforms = ["linux/amd64"]
  output = image("weights-some-model-v2-onnx-int8")
  tags = ["${REGISTRY}/weights-some-model-v2-onnx-int8:${TAG}"]
  cache-from = cache(CACHE_FROM, "weights-some-model-v2-onnx-int8")
  cache-to = cache(CACHE_TO, "weights-some-model-v2-onnx-int8")
}

target "weights-models-small" {
  inherits = ["_common"]
  context = "models/small"
  dockerfile = "../../bake/dockerfiles/weights-models-small.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-models-small"
    "slimbake.project" = "graphs"
    "slimbake.target" = "weights-models-small"
  }
  output = ["type=cacheonly"]
}

target "weights-models-small-onnx-int8" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/weights-models-small-onnx-int8.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-ml-export"
    "source" = "target:weights-models-small"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-models-small-onnx-int8"
    "slimbake.project" = "graphs"
    "slimbake.target" = "weights-models-small-onnx-int8"
  }
  output = image("weights-models-small-onnx-int8")
  tags = ["${REGISTRY}/weights-models-small-onnx-int8:${TAG}"]
  cache-from = cache(CACHE_FROM, "weights-models-small-onnx-int8")
  cache-to = cache(CACHE_TO, "weights-models-small-onnx-int8")
}

target "weights-models-small-onnx-fp32" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/weights-models-small-onnx-fp32.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-vision-export"
    "source" = "target:weights-models-small"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-models-small-onnx-fp32"
    "slimbake.project" = "graphs"
    "slimbake.target" = "weights-models-small-onnx-fp32"
  }
  output = image("weights-models-small-onnx-fp32")
  tags = ["${REGISTRY}/weights-models-small-onnx-fp32:${TAG}"]
  cache-from = cache(CACHE_FROM, "weights-models-small-onnx-fp32")
  cache-to = cache(CACHE_TO, "weights-models-small-onnx-fp32")
}

target "weights-models-small-onnx-fp16" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/weights-models-small-onnx-fp16.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-vision-export"
    "source" = "target:weights-models-small"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-models-small-onnx-fp16"
    "slimbake.project" = "graphs"
    "slimbake.target" = "weights-models-small-onnx-fp16"
  }
  output = image("weights-models-small-onnx-fp16")
  tags = ["${REGISTRY}/weights-models-small-onnx-fp16:${TAG}"]
  cache-from = cache(CACHE_FROM, "weights-models-small-onnx-fp16")
  cache-to = cache(CACHE_TO, "weights-models-small-onnx-fp16")
}

target "api" {
  inherits = ["_common"]
  context = "api"
  dockerfile = "../bake/dockerfiles/api.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-web"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "api"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "kept"
    "slimbake.target" = "api"
  }
  output = image("api")
  tags = ["${REGISTRY}/api:${TAG}"]
  cache-from = cache(CACHE_FROM, "api")
  cache-to = cache(CACHE_TO, "api")
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
    "slimbake.project" = "graphs"
    "slimbake.promise" = "removes"
    "slimbake.target" = "embed"
  }
  platforms = ["linux/amd64"]
  output = image("embed")
  tags = ["${REGISTRY}/embed:${TAG}"]
  cache-from = cache(CACHE_FROM, "embed")
  cache-to = cache(CACHE_TO, "embed")
}

target "embed-onnx" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/embed-onnx.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-ml-onnx"
    "weights-some-model-v2-onnx-int8" = "target:weights-some-model-v2-onnx-int8"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "embed-onnx"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "kept"
    "slimbake.target" = "embed-onnx"
  }
  platforms = ["linux/amd64"]
  output = image("embed-onnx")
  tags = ["${REGISTRY}/embed:${TAG}-onnx"]
  cache-from = cache(CACHE_FROM, "embed-onnx")
  cache-to = cache(CACHE_TO, "embed-onnx")
}

target "rank" {
  inherits = ["_common"]
  context = "rank"
  dockerfile = "../bake/dockerfiles/rank.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-ml-onnx"
    "weights-some-model-v2-onnx-int8" = "target:weights-some-model-v2-onnx-int8"
    "layer_rank" = "target:layer_rank"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "rank"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "removes"
    "slimbake.target" = "rank"
  }
  platforms = ["linux/amd64"]
  output = image("rank")
  tags = ["${REGISTRY}/rank:${TAG}"]
  cache-from = cache(CACHE_FROM, "rank")
  cache-to = cache(CACHE_TO, "rank")
}

target "say" {
  inherits = ["_common"]
  context = "say"
  dockerfile = "../bake/dockerfiles/say.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-ml-onnx"
    "weights-models-small-onnx-int8" = "target:weights-models-small-onnx-int8"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "say"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "kept"
    "slimbake.target" = "say"
  }
  output = image("say")
  tags = ["${REGISTRY}/say:${TAG}"]
  cache-from = cache(CACHE_FROM, "say")
  cache-to = cache(CACHE_TO, "say")
}

target "see" {
  inherits = ["_common"]
  context = "see"
  dockerfile = "../bake/dockerfiles/see.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-vision-onnx"
    "weights-models-small-onnx-fp32" = "target:weights-models-small-onnx-fp32"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "see"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "kept"
    "slimbake.target" = "see"
  }
  output = image("see")
  tags = ["${REGISTRY}/see:${TAG}"]
  cache-from = cache(CACHE_FROM, "see")
  cache-to = cache(CACHE_TO, "see")
}

target "tell" {
  inherits = ["_common"]
  context = "tell"
  dockerfile = "../bake/dockerfiles/tell.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-vision-onnx"
    "weights-models-small-onnx-fp16" = "target:weights-models-small-onnx-fp16"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "tell"
    "slimbake.project" = "graphs"
    "slimbake.promise" = "kept"
    "slimbake.target" = "tell"
  }
  output = image("tell")
  tags = ["${REGISTRY}/tell:${TAG}"]
  cache-from = cache(CACHE_FROM, "tell")
  cache-to = cache(CACHE_TO, "tell")
}

target "embed-smoke" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/smoke.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:embed"
  }
  args = {
    "SLIMBAKE_SMOKE" = "embed.py"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "embed-onnx-smoke" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/smoke.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:embed-onnx"
  }
  args = {
    "SLIMBAKE_SMOKE" = "embed.py"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "reference-some-model-v2-p-q-c-1" {
  inherits = ["_common"]
  context = "texts"
  dockerfile = "../bake/dockerfiles/reference-some-model-v2-p-q-c-1.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:base-ml-export"
    "source" = "target:weights-some-model-v2"
  }
  args = {
    "TEXTS" = "p, q=$c [1].jsonl"
  }
  labels = {
    "org.opencontainers.image.title" = "reference-some-model-v2-p-q-c-1"
    "slimbake.project" = "graphs"
    "slimbake.target" = "reference-some-model-v2-p-q-c-1"
  }
  platforms = ["linux/amd64"]
  output = image("reference-some-model-v2-p-q-c-1")
  tags = ["${REGISTRY}/reference-some-model-v2-p-q-c-1:${TAG}"]
  cache-from = cache(CACHE_FROM, "reference-some-model-v2-p-q-c-1")
  cache-to = cache(CACHE_TO, "reference-some-model-v2-p-q-c-1")
}

target "embed-onnx-parity" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/parity.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:embed-onnx"
    "reference" = "target:reference-some-model-v2-p-q-c-1"
  }
  args = {
    "SLIMBAKE_PARITY" = "ask \"it\" $${x}.py"
    "SLIMBAKE_LIMITS" = "{\"min-cosine\": 0.99, \"mean-cosine\": 0.995, \"top10\": 0.5, \"tokens\": 0.0, \"perplexity\": 0.001, \"logprobs\": 0.06}"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "rank-parity" {
  inherits = ["_common"]
  context = "rank"
  dockerfile = "../bake/dockerfiles/parity.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:rank"
    "reference" = "target:reference-some-model-v2-p-q-c-1"
  }
  args = {
    "SLIMBAKE_PARITY" = "parity.py"
    "SLIMBAKE_LIMITS" = "{\"min-cosine\": 0.99, \"mean-cosine\": 0.995, \"top10\": 0.97, \"tokens\": 0.0, \"perplexity\": 0.02, \"logprobs\": 0.06}"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
    "SLIMBAKE_ENV" = "{\"TOKEN\": \"none\"}"
  }
  platforms = ["linux/amd64"]
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
    "REMOVES" = "[\"services.yaml: bases.ml.remove: **/t\\u00e9 st's.py\", \"services.yaml: bases.ml.remove: transformers/models/*/**\"]"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}

target "base-ml-onnx-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:base-ml-onnx"
  }
  args = {
    "CHECKED" = "base-ml-onnx"
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

target "base-vision-onnx-inventory" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/inventory.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:base-vision-onnx"
  }
  args = {
    "CHECKED" = "base-vision-onnx"
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
    "REMOVES" = "[\"services.yaml: services.rank.remove: scipy/datasets/**\"]"
  }
  platforms = ["linux/amd64"]
  output = ["type=cacheonly"]
}
