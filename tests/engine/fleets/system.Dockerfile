FROM python AS lock
RUN --mount=type=bind,from=inside,source=make.pyz,target=/make.pyz \
    ["python3.11", "/make.pyz", "lock-debs", "/lock.txt", "amd64", PACKAGES]
FROM python AS debs
RUN --mount=type=bind,from=inside,source=make.pyz,target=/make.pyz \
    --mount=type=bind,from=lock,source=lock.txt,target=/inside/lock.txt \
    ["python3.11", "/make.pyz", "fetch-debs", "/debs"]
FROM python AS system
RUN --network=none \
    --mount=type=bind,from=inside,source=make.pyz,target=/make.pyz \
    --mount=type=bind,from=lock,source=lock.txt,target=/inside/lock.txt \
    --mount=type=bind,from=debs,source=debs,target=/inside/debs \
    --mount=type=bind,from=runtime,target=/inside/base \
    ["python3.11", "/make.pyz", "carry-debs", "/out", PACKAGES]
FROM scratch AS carried
COPY --from=system /out /
FROM runtime
COPY --from=system /out /
