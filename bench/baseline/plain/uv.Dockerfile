# A plain Dockerfile with uv. COMPILE is empty, as most people have it, or --compile-bytecode.
FROM python:3.11-slim-trixie
RUN python -m venv --without-pip /opt/venv
ARG COMPILE=""
RUN --mount=type=bind,from=uv,source=/uv,target=/bin/uv \
    --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=bind,source=requirements.txt,target=/requirements.txt \
    uv pip install --python /opt/venv/bin/python --no-cache --no-index --find-links /wheels \
    --no-deps $COMPILE -r /requirements.txt
ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONUNBUFFERED="1"
WORKDIR /app
COPY weights /weights
COPY app /app
USER 65532:65532
