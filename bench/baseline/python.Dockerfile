# The external Python image as it is upstream, with pip: a stand-in of it has none. Made before anything is measured.
FROM python
RUN --mount=type=bind,from=uv,source=/uv,target=/run/uv \
    --mount=type=secret,id=ca \
    --mount=type=secret,id=uv-settings \
    --mount=type=tmpfs,target=/tmp \
    if [ -e /run/secrets/ca ]; then export SSL_CERT_FILE=/run/secrets/ca; fi; \
    if [ -e /run/secrets/uv-settings ]; then export UV_CONFIG_FILE=/run/secrets/uv-settings; fi; \
    /run/uv pip install --no-cache --compile-bytecode --break-system-packages --python "$(command -v python3)" pip==26.3
