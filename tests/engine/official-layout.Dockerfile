# A Python image laid out like the official one, made from one laid out like Debian's (the named context `python`):
# all of CPython in /usr/local, libpython shared, no Debian package of Python, pip in site-packages.

FROM python AS program
RUN apt-get update && apt-get install -y --no-install-recommends tcc libc6-dev
RUN echo 'int Py_BytesMain(int, char **); int main(int n, char **v) { return Py_BytesMain(n, v); }' > /main.c \
 && tcc -o /python /main.c /usr/lib/*/libpython3.11.so.1.0

FROM python
COPY --from=program /python /usr/local/bin/python3.11
RUN set -eu; \
    cp -a /usr/lib/python3.11 /usr/lib/*/libpython3.11.so.1.0 /usr/local/lib; \
    dpkg --purge --force-depends libpython3.11-dev libpython3.11 python3.11 python3.11-minimal \
        libpython3.11-stdlib libpython3.11-minimal; \
    rm -rf /usr/bin/python3* /usr/lib/python3*; \
    cd /usr/local/lib/python3.11; \
    rm -rf sitecustomize.py dist-packages __pycache__; \
    mkdir -p site-packages/pip; \
    touch site-packages/pip/__init__.py; \
    ln -sf python3.11 /usr/local/bin/python3; \
    ln -sf python3 /usr/local/bin/python; \
    ldconfig
ENV LANG=C.UTF-8
CMD ["python3"]
