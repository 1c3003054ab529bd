group "default" {
  targets = ["target"]
}

group "bases" {
  targets = ["runtime", "base-web"]
}

group "smoke" {
  targets = ["target-smoke"]
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
    "slimbake.project" = "hostile"
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
    "slimbake.project" = "hostile"
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
    "slimbake.project" = "hostile"
    "slimbake.promise" = "kept"
    "slimbake.target" = "base-web"
  }
  output = image("base-web")
  tags = ["${REGISTRY}/base-web:${TAG}"]
  cache-from = cache(CACHE_FROM, "base-web")
  cache-to = cache(CACHE_TO, "base-web")
}

target "target" {
  inherits = ["_common"]
  context = "we ird/$${HOME} %%{if} 'x'"
  dockerfile = "../../bake/dockerfiles/target.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "builder" = "docker-image://python:3.11-slim-trixie"
    "base" = "target:base-web"
  }
  args = {
    "ENV_QUOTES" = "double \" single ' back `tick` \\ end\\"
    "ENV_TEMPLATES" = "$${HOME} $$${HOME} $$$${HOME} %%{ if true } %%%{ %%%%{ $%%{ %$${ $${"
    "ENV_DOLLARS" = "$ $$ $HOME $(id) ends with $"
    "ENV_PERCENTS" = "% %% ends with %"
    "ENV_LINES" = "one\ntwo\r\nthree\ttab\n"
    "ENV_CONTROLS" = "\u0001\u0008\u000b\u000c\u001b[0m\u007f ﻿"
    "ENV_LETTERS" = "ü ñ 漢字 ☃ 𝄞 🧨"
    "ENV_EMPTY" = ""
    "ENV_SPACES" = "  two before, two after  "
    "ENV_HASH" = "# no comment // none /* none */"
    "ENV_HEREDOC" = "<<EOF\nRUN id\nEOF"
    "ENV_JSON" = "{\"a\": [\"b\", \"\\u0041\"]}"
    "QUOTED" = "a \"b\" $${TAG} \\"
    "LINES" = "FROM evil\nRUN id"
  }
  labels = {
    "com.example.text" = "quotes \" ' ` $${REGISTRY} %%{x} \\\nsecond line ☃"
    "com.example/empty" = ""
    "org.opencontainers.image.base.name" = "python:3.11-slim-trixie"
    "org.opencontainers.image.title" = "target"
    "slimbake.project" = "hostile"
    "slimbake.promise" = "kept"
    "slimbake.target" = "target"
  }
  output = image("target")
  tags = ["${REGISTRY}/target:${TAG}"]
  cache-from = cache(CACHE_FROM, "target")
  cache-to = cache(CACHE_TO, "target")
}

target "target-smoke" {
  inherits = ["_common"]
  context = "we ird/$${HOME} %%{if} 'x'"
  dockerfile = "../../bake/dockerfiles/smoke.Dockerfile"
  contexts = {
    "inside" = "target:inside"
    "image" = "target:target"
  }
  args = {
    "SLIMBAKE_SMOKE" = "!s*m?o[k]e #1.py"
    "SLIMBAKE_VOLUMES" = "/da ta/\"$x\""
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
