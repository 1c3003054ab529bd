# The same eight, baked in parallel: `docker buildx bake` builds as many steps at once as it can.
variable "REGISTRY" { default = "slimbake-bench/parallel" }

# What the machine brings, see bench/bake.py.
variable "PYTHON" { default = "docker-image://python:3.11-slim-trixie" }
variable "WHEELS" { default = "" }
variable "CA_BUNDLE" { default = "" }
variable "PIP_SETTINGS" { default = "" }

group "default" {
  targets = ["api", "embedding", "storage", "nlg", "hybrid", "control", "bulk-ingester", "client"]
}

target "_common" {
  contexts = {
    "python:3.11-slim-trixie" = PYTHON
    "wheels" = WHEELS
  }
  secret = concat(
    CA_BUNDLE == "" ? [] : ["id=ca,src=${CA_BUNDLE}"],
    PIP_SETTINGS == "" ? [] : ["id=pip,src=${PIP_SETTINGS}"],
  )
}

target "api" {
  inherits = ["_common"]
  dockerfile = "bench/baseline/parallel/api.Dockerfile"
  tags = ["${REGISTRY}/api:latest"]
}

target "embedding" {
  inherits = ["_common"]
  dockerfile = "bench/baseline/parallel/embedding.Dockerfile"
  tags = ["${REGISTRY}/embedding:latest"]
}

target "storage" {
  inherits = ["_common"]
  dockerfile = "bench/baseline/parallel/storage.Dockerfile"
  tags = ["${REGISTRY}/storage:latest"]
}

target "nlg" {
  inherits = ["_common"]
  dockerfile = "bench/baseline/parallel/nlg.Dockerfile"
  tags = ["${REGISTRY}/nlg:latest"]
}

target "hybrid" {
  inherits = ["_common"]
  dockerfile = "bench/baseline/parallel/hybrid.Dockerfile"
  tags = ["${REGISTRY}/hybrid:latest"]
}

target "control" {
  inherits = ["_common"]
  dockerfile = "bench/baseline/parallel/control.Dockerfile"
  tags = ["${REGISTRY}/control:latest"]
}

target "bulk-ingester" {
  inherits = ["_common"]
  dockerfile = "bench/baseline/parallel/bulk-ingester.Dockerfile"
  tags = ["${REGISTRY}/bulk-ingester:latest"]
}

target "client" {
  inherits = ["_common"]
  dockerfile = "bench/baseline/parallel/client.Dockerfile"
  tags = ["${REGISTRY}/client:latest"]
}
