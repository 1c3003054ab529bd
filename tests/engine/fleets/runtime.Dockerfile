FROM python AS distil
RUN --mount=type=bind,from=inside,source=make.pyz,target=/make.pyz \
    ["python3.11", "/make.pyz", "make-runtime", "/out"]
FROM scratch
COPY --from=distil /out /
ENV PATH=/opt/slimbake/bin LANG=C.UTF-8
USER 65532:65532
