group "default" {
  targets = ["embed", "rank", "tell", "keep", "weights-some-model-v2", "weights-models-small"]
}

group "bases" {
  targets = ["runtime", "base-ml", "base-ml-onnx"]
}

group "smoke" {
  targets = ["embed-smoke", "rank-smoke", "tell-smoke", "keep-smoke"]
}

group "torch" {
  targets = ["embed", "weights-some-model-v2"]
}

group "torch-smoke" {
  targets = ["embed-smoke"]
}

group "onnx" {
  targets = ["embed-onnx", "weights-some-model-v2-onnx-fp32"]
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
    "slimbake.project" = "mounted"
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
    "slimbake.project" = "mounted"
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
    "slimbake.project" = "mounted"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-ml"
  }
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
    "base" = "target:runtime"
    "layer_base-ml-onnx" = "target:layer_base-ml-onnx"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "base-ml-onnx"
    "slimbake.project" = "mounted"
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
    "slimbake.project" = "mounted"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-ml-export"
  }
  output = ["type=cacheonly"]
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
    "slimbake.project" = "mounted"
    "slimbake.target" = "weights-some-model-v2"
  }
  output = image("weights-some-model-v2")
  tags = ["${REGISTRY}/weights-some-model-v2:${TAG}"]
  cache-from = cache(CACHE_FROM, "weights-some-model-v2")
  cache-to = cache(CACHE_TO, "weights-some-model-v2")
}

target "weights-some-model-v2-onnx-fp32" {
  inherits = ["_common"]
  context = "bake/programs"
  dockerfile = "../dockerfiles/weights-some-model-v2-onnx-fp32.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-ml-export"
    "source" = "target:weights-some-model-v2"
  }
  labels = {
    "org.opencontainers.image.title" = "weights-some-model-v2-onnx-fp32"
    "slimbake.project" = "mounted"
    "slimbake.target" = "weights-some-model-v2-onnx-fp32"
  }
  output = image("weights-some-model-v2-onnx-fp32")
  tags = ["${REGISTRY}/weights-some-model-v2-onnx-fp32:${TAG}"]
  cache-from = cache(CACHE_FROM, "weights-some-model-v2-onnx-fp32")
  cache-to = cache(CACHE_TO, "weights-some-model-v2-onnx-fp32")
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
    "slimbake.project" = "mounted"
    "slimbake.target" = "weights-models-small"
  }
  output = image("weights-models-small")
  tags = ["${REGISTRY}/weights-models-small:${TAG}"]
  cache-from = cache(CACHE_FROM, "weights-models-small")
  cache-to = cache(CACHE_TO, "weights-models-small")
}

target "embed" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/embed.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-ml"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "embed"
    "slimbake.project" = "mounted"
    "slimbake.promise" = "kept"
    "slimbake.target" = "embed"
  }
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
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "embed-onnx"
    "slimbake.project" = "mounted"
    "slimbake.promise" = "kept"
    "slimbake.target" = "embed-onnx"
  }
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
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "rank"
    "slimbake.project" = "mounted"
    "slimbake.promise" = "kept"
    "slimbake.target" = "rank"
  }
  output = image("rank")
  tags = ["${REGISTRY}/rank:${TAG}"]
  cache-from = cache(CACHE_FROM, "rank")
  cache-to = cache(CACHE_TO, "rank")
}

target "tell" {
  inherits = ["_common"]
  context = "rank"
  dockerfile = "../bake/dockerfiles/tell.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:runtime"
    "weights-models-small" = "target:weights-models-small"
  }
  labels = {
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "tell"
    "slimbake.project" = "mounted"
    "slimbake.promise" = "kept"
    "slimbake.target" = "tell"
  }
  output = image("tell")
  tags = ["${REGISTRY}/tell:${TAG}"]
  cache-from = cache(CACHE_FROM, "tell")
  cache-to = cache(CACHE_TO, "tell")
}

target "keep" {
  inherits = ["_common"]
  context = "rank"
  dockerfile = "../keep.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:runtime"
  }
  labels = {
    "org.opencontainers.image.title" = "keep"
    "slimbake.project" = "mounted"
    "slimbake.promise" = "kept"
    "slimbake.target" = "keep"
  }
  output = image("keep")
  tags = ["${REGISTRY}/keep:${TAG}"]
  cache-from = cache(CACHE_FROM, "keep")
  cache-to = cache(CACHE_TO, "keep")
}

target "embed-smoke" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/smoke-weights.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:embed"
    "weights" = "target:weights-some-model-v2"
  }
  args = {
    "SLIMBAKE_SMOKE" = "smoke.py"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  output = ["type=cacheonly"]
}

target "embed-onnx-smoke" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/smoke-weights.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:embed-onnx"
    "weights" = "target:weights-some-model-v2-onnx-fp32"
  }
  args = {
    "SLIMBAKE_SMOKE" = "smoke.py"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  output = ["type=cacheonly"]
}

target "rank-smoke" {
  inherits = ["_common"]
  context = "rank"
  dockerfile = "../bake/dockerfiles/smoke-weights.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:rank"
    "weights" = "target:weights-models-small"
  }
  args = {
    "SLIMBAKE_SMOKE" = "smoke.py"
    "SLIMBAKE_VOLUMES" = "/data"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  output = ["type=cacheonly"]
}

target "tell-smoke" {
  inherits = ["_common"]
  context = "rank"
  dockerfile = "../bake/dockerfiles/smoke.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:tell"
  }
  args = {
    "SLIMBAKE_SMOKE" = "smoke.py"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
  }
  output = ["type=cacheonly"]
}

target "keep-smoke" {
  inherits = ["_common"]
  context = "rank"
  dockerfile = "../bake/dockerfiles/smoke-own-weights.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:keep"
    "weights" = "target:weights-models-small"
  }
  args = {
    "SLIMBAKE_SMOKE" = "smoke.py"
  }
  output = ["type=cacheonly"]
}

target "reference-some-model-v2-texts" {
  inherits = ["_common"]
  context = "."
  dockerfile = "bake/dockerfiles/reference-some-model-v2-texts.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "base" = "target:base-ml-export"
    "source" = "target:weights-some-model-v2"
  }
  args = {
    "TEXTS" = "texts.jsonl"
  }
  labels = {
    "org.opencontainers.image.title" = "reference-some-model-v2-texts"
    "slimbake.project" = "mounted"
    "slimbake.target" = "reference-some-model-v2-texts"
  }
  output = image("reference-some-model-v2-texts")
  tags = ["${REGISTRY}/reference-some-model-v2-texts:${TAG}"]
  cache-from = cache(CACHE_FROM, "reference-some-model-v2-texts")
  cache-to = cache(CACHE_TO, "reference-some-model-v2-texts")
}

target "embed-onnx-parity" {
  inherits = ["_common"]
  context = "embed"
  dockerfile = "../bake/dockerfiles/parity-weights.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:embed-onnx"
    "reference" = "target:reference-some-model-v2-texts"
    "weights" = "target:weights-some-model-v2-onnx-fp32"
  }
  args = {
    "SLIMBAKE_PARITY" = "parity.py"
    "SLIMBAKE_LIMITS" = "{\"min-cosine\": 0.99999, \"mean-cosine\": 0.999999, \"top10\": 0.995, \"tokens\": 1.0, \"perplexity\": 0.0001, \"logprobs\": 0.001}"
    "SLIMBAKE_TMPFS" = "/home/nonroot"
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
  }
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
