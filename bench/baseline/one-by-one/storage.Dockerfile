# storage, written by hand: built on its own: `docker build`.
FROM python:3.11-slim-trixie AS builder
RUN apt-get update \
    && apt-get install -y --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/*
RUN python -m venv --without-pip /opt/venv
WORKDIR /src
COPY bench/baseline/requirements/storage.txt requirements.txt
COPY bench/baseline/clean.sh clean.sh
RUN --mount=type=secret,id=ca \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps -r requirements.txt \
    && sh clean.sh /opt/venv
COPY examples/atlas/libs/atlas-common atlas-common
RUN --mount=type=secret,id=ca \
    --mount=type=secret,id=pip,target=/etc/pip.conf \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-deps ./atlas-common

FROM python:3.11-slim-trixie
COPY --from=builder /opt/venv /opt/venv
RUN mkdir /data && chown 65532:65532 /data
ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONUNBUFFERED="1" \
    PYTHONDONTWRITEBYTECODE="1"
WORKDIR /app
COPY examples/atlas/services/storage/storage storage
EXPOSE 8002
USER 65532:65532
ENTRYPOINT ["python", "-m", "storage"]
