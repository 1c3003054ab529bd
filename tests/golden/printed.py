"""What `docker buildx bake --print` must say of a plan: the second route, which never reads the
bake file.
"""

import csv
import json
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from slimbake.config.model import Secret
from slimbake.plan.model import Plan, Target

Printed = dict[str, Any]

BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
_CSV = ("attest", "cache-from", "cache-to", "secret", "output")


def printed(plan: Plan, names: Sequence[str], given: Mapping[str, str]) -> Printed:
    """The JSON of buildx 0.13 for these targets and groups, with the bake file's variables as
    `given`.
    """
    variables = {
        "REGISTRY": plan.registry,
        "TAG": "latest",
        "PLATFORMS": ",".join(plan.platforms),
        "CACHE_FROM": "",
        "CACHE_TO": "",
        "COMPRESSION": plan.compression.type,
        "COMPRESSION_LEVEL": str(plan.compression.level),
        "CA_BUNDLE": "",
        "UV_SETTINGS": "",
        **given,
    }
    groups = {group.name: list(group.targets) for group in plan.groups}
    chosen = {target for name in names for target in groups.get(name, [name])}

    def target(it: Target) -> Printed:
        image = bool(it.repository)
        machine = {"slimbake-ca": variables["CA_BUNDLE"], "slimbake-uv": variables["UV_SETTINGS"]}
        mounted = [f"id={id_},src={path}" for id_, path in machine.items() if path and it.online]
        trusts = {"NODE_EXTRA_CA_CERTS": BUNDLE} if it.online and machine["slimbake-ca"] else {}
        compression = f"compression={variables['COMPRESSION']},compression-level={variables['COMPRESSION_LEVEL']}"
        compression += ",force-compression=true"
        output = f"type=image,oci-mediatypes=true,{compression}"
        said = {
            "context": it.context,
            "contexts": dict(it.contexts),
            "dockerfile": posixpath.relpath(it.dockerfile, it.context),
            "target": it.stage,
            "args": {"SOURCE_DATE_EPOCH": "315532800", **trusts, **dict(it.args)},
            "labels": dict(it.labels),
            "tags": (
                [f"{variables['REGISTRY']}/{it.repository}:{variables['TAG']}{it.suffix}"]
                if image
                else []
            ),
            "cache-from": _cache(variables["CACHE_FROM"], it),
            "cache-to": _cache(variables["CACHE_TO"], it),
            "secret": [*mounted, *map(_secret, it.secrets)],
            # buildx sorts them
            "platforms": sorted(it.platforms or variables["PLATFORMS"].split(",")),
            "attest": ["type=provenance,disabled=true", "type=sbom,disabled=true"],
            # What is built only because others stand on it goes nowhere.
            "output": [output if image else "type=cacheonly"] if it.name in chosen else [],
        }
        return {key: value for key, value in said.items() if value}

    rest = [name for name in names if name != "default"]
    default = [*groups["default"], *rest] if "default" in names else rest
    return {
        "group": (
            {"default": {"targets": default}}
            | {name: {"targets": groups[name]} for name in rest if name in groups}
        ),
        "target": {it.name: target(it) for it in plan.needed(tuple(chosen))},
    }


def newest_reads(text: str) -> Printed:
    """A document that the newest buildx printed: it escapes what a bake file would take for a
    template.
    """
    return dict(json.loads(text.replace("$${", "${").replace("%%{", "%{")))


def structured(document: Printed) -> Printed:
    """What a printed document means, whichever buildx printed it.

    Where 0.13 has lines of CSV, the newest has fields; it sorts groups and no platforms; and it
    says what becomes of a target that is built only because others stand on it.
    """
    targets = {
        name: {
            "output": [{"type": "cacheonly"}],
            **{
                key: [_fields(entry) for entry in value] if key in _CSV else value
                for key, value in target.items()
                if key != "description"  # 0.13 drops it
            },
            "platforms": sorted(target["platforms"]),
        }
        for name, target in document["target"].items()
    }
    groups = {name: sorted(group["targets"]) for name, group in document["group"].items()}
    return {"group": groups, "target": targets}


def _cache(spec: str, target: Target) -> list[str]:
    return [spec.replace("{target}", target.name)] if spec and target.repository else []


def _secret(secret: Secret) -> str:
    return f"id={secret.id},{'env' if secret.source == 'env' else 'src'}={secret.name}"


def _fields(entry: str | Mapping[str, Any]) -> dict[str, str]:
    if isinstance(entry, str):
        entry = dict(field.partition("=")[::2] for field in next(csv.reader([entry])))
    return {
        key: str(value).lower() if isinstance(value, bool) else value
        for key, value in entry.items()
    }
