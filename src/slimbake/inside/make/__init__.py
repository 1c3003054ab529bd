"""make.pyz: the programs that make layers, `python /make.pyz NAME ARGUMENT ...`."""

PROGRAMS = {
    "fetch-wheels": "..fetch:fetch_wheels",
    "make-layer": ".packages:make_layer",
    "install-local": ".packages:install_local",
    "compile-more": ".packages:compile_more",
    "copy-code": ".layer:copy_code",
    "copy-files": ".files:copy_files",
    "copy-weights": ".layer:copy_weights",
    "unpack-weights": ".layer:unpack_weights",
    "build-wheel": ".layer:build_wheel",
    "run-step": ".system:run_step",
    "take-outputs": ".layer:take_outputs",
    "make-folders": ".layer:make_folders",
    "make-runtime": ".runtime:make_runtime",
    "make-interpreter": ".interpreter:make_interpreter",
    "make-prefix": ".prefix:make_prefix",
    "lock-debs": "..debs:lock_debs",
    "fetch-debs": "..debs:fetch_locked_debs",
    "carry-debs": ".system:carry_debs",
    "install-system": ".system:install_system",
    "install-debs": ".system:install_debs",
}
