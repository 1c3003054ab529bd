"""check.pyz: the programs that run in final images, `python /check.pyz NAME ARGUMENT ...`."""

PROGRAMS = {
    "smoke": ".smoke:run_smoke",
    "levels": ".levels:run_levels",
    "parity": ".parity:run_parity",
    "census": ".census:take_census",
    "imports": ".imports:import_modules",
    "inventory": ".inventory:take_inventory",
    "verify": ".verify:verify_service",
    "start": ".start:start_command",
    "contents": ".contents:print_contents",
    "observe": ".touched:run_observation",
    "trace": ".trace:run_trace",
    "starts": ".trace:trace_starts",
    "try": ".trial:try_passes",
    "weigh": ".trial:weigh_passes",
}
