"""check.pyz: the programs that run in final images, `python /check.pyz NAME ARGUMENT ...`."""

PROGRAMS = {
    "smoke": ".smoke:run_smoke",
    "levels": ".levels:run_levels",
    "parity": ".parity:run_parity",
    "inventory": ".inventory:take_inventory",
    "verify": ".verify:verify_service",
    "start": ".start:start_command",
    "contents": ".contents:print_contents",
}
