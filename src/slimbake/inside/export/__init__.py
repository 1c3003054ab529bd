"""export.pyz: the programs that run where torch is, `python /export.pyz NAME ARGUMENT ...`."""

PROGRAMS = {
    "export": ".model:run_export",
    "reference": ".reference:make_reference",
}
