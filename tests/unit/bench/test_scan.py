"""What bench/scan.py counts in what trivy and `docker export` say."""

import io
import tarfile

from bench.scan import kinds, row, set_id


def test_packages_are_counted_by_ecosystem_and_each_once() -> None:
    six = {"purl": "pkg:pypi/six@1.17"}
    system = {"purl": "pkg:deb/debian/libc6@2.41?arch=amd64", "components": [six]}
    assert kinds({"components": [six, system, {"name": "a file"}]}) == {"pypi": 1, "deb": 1}
    assert kinds({}) == {}


def test_files_with_set_uid_or_set_gid_are_found_in_an_archive() -> None:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, mode, kind in (
            ("usr/bin/su", 0o4755, tarfile.REGTYPE),
            ("usr/bin/wall", 0o2755, tarfile.REGTYPE),
            ("usr/bin/env", 0o755, tarfile.REGTYPE),
            ("var/mail", 0o2775, tarfile.DIRTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.mode, member.type = mode, kind
            archive.addfile(member)
    written.seek(0)
    assert set_id(written) == ["/usr/bin/su", "/usr/bin/wall"]


def test_a_row_has_the_counts() -> None:
    image = {"name": "api", "side": "slimbake", "debian": 9, "python": 4, "set_id": []}
    assert row(image) == ("api", "slimbake", "9", "4", "0")
