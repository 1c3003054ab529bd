# client, written by hand: built on its own: `docker build`.
FROM python:3.11-slim-trixie
ENV PYTHONUNBUFFERED="1" \
    PYTHONDONTWRITEBYTECODE="1"
WORKDIR /app
COPY examples/atlas/services/client/client client
USER 65532:65532
ENTRYPOINT ["python", "-m", "client"]
