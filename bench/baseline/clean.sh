#!/bin/sh
# The clean-ups of a virtual environment that people write by hand, as far as they hold: every service still works.
# Bytecode stays, as in slimbake's images: without it a service takes twice as long to start.
set -eu
cd "$1"/lib/python3*/site-packages

find . -type d \( -name tests -o -name test -o -name examples \) -not -path './torch/*' -prune -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.h' -o -name '*.hpp' -o -name '*.cuh' -o -name '*.c' \
    -o -name '*.pyx' -o -name '*.pxd' -o -name '*.cmake' -o -name '*.a' \) -delete
find . -type f \( -name '*.md' -o -name '*.rst' \) -not -path '*.dist-info/*' -delete
rm -rf torch/include torch/share torch/test torch/onnx torch/utils/tensorboard torch/bin/protoc* functorch transformers/cli
find . -type f -name '*.so*' -exec strip --strip-unneeded {} +
