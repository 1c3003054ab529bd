# client, written by hand: baked in parallel with the others, pip keeps what it fetched in a cache mount.
FROM python:3.11-slim-trixie
ENV PYTHONUNBUFFERED="1" \
    PYTHONDONTWRITEBYTECODE="1"
WORKDIR /app
COPY examples/atlas/services/client/client client
USER 65532:65532
ENTRYPOINT ["python", "-m", "client"]
