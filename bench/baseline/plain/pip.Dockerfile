# A plain Dockerfile with pip: it compiles bytecode by default.
FROM python:3.11-slim-trixie
RUN python -m venv --without-pip /opt/venv
RUN --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=bind,source=requirements.txt,target=/requirements.txt \
    pip --python /opt/venv/bin/python install --no-cache-dir --no-index --find-links /wheels \
    --no-deps -r /requirements.txt
ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONUNBUFFERED="1"
WORKDIR /app
COPY weights /weights
COPY app /app
USER 65532:65532
