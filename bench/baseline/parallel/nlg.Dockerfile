# nlg, written by hand: baked in parallel with the others, pip keeps what it fetched in a cache mount.
FROM python:3.11-slim-trixie AS builder
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv --without-pip /opt/venv
WORKDIR /src
COPY bench/baseline/requirements/nlg.txt requirements.txt
COPY bench/baseline/clean.sh clean.sh
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    --mount=type=bind,from=wheels,target=/wheels \
    pip --python /opt/venv/bin/python install --no-deps -r requirements.txt \
    && sh clean.sh /opt/venv
COPY examples/atlas/libs/atlas-common atlas-common
COPY libs/slimbake-models slimbake-models
RUN --mount=type=cache,target=/root/.cache/pip \
    --mount=type=secret,id=ca \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/venv/bin/python install --no-deps ./atlas-common ./slimbake-models

FROM python:3.11-slim-trixie
COPY --from=builder /opt/venv /opt/venv
COPY examples/atlas/services/nlg/weights /weights
ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONUNBUFFERED="1" \
    PYTHONDONTWRITEBYTECODE="1" \
    OMP_NUM_THREADS="2"
WORKDIR /app
COPY examples/atlas/services/nlg/nlg nlg
EXPOSE 8003
USER 65532:65532
ENTRYPOINT ["python", "-m", "nlg"]
