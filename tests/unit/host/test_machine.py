"""What a machine is set to, read from made-up files and variables."""

from collections.abc import Mapping
from pathlib import Path

from slimbake.host.machine import Machine, proxies, read_machine
from slimbake.host.pip import package_sources, pip_config_paths, pip_settings, without_credentials

HOME = Path("/home/ann")
PREFIX = Path("/opt/venv")
HERE = Path("/srv/project")


def read(top: Path, files: Mapping[str, str], environ: Mapping[str, str] | None = None) -> Machine:
    for name, text in files.items():
        path = top / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return read_machine(environ or {}, top, HOME, PREFIX, HERE, root=False)


def test_a_bare_machine_is_set_to_nothing(tmp_path: Path) -> None:
    bare = read(tmp_path, {})
    assert not bare.root
    assert bare.packages == package_sources({}, {}, HERE)
    assert (bare.ca_bundle, bare.proxies) == (None, ())
    assert bare.disk_free > 0


def test_pips_files_are_read_in_pips_order_and_the_later_wins(tmp_path: Path) -> None:
    files = {
        "/etc/xdg/pip/pip.conf": (
            "[global]\nindex-url = https://xdg.example/simple\ncert = /nowhere\n"
        ),
        "/etc/pip.conf": (
            "[global]\nindex-url = https://etc.example/simple\nextra-index-url =\n "
            " https://a.example\n  https://b.example\n"
        ),
        "/home/ann/.pip/pip.conf": "[global]\nfind-links = /legacy\n",
        "/home/ann/.config/pip/pip.conf": "[global]\nfind-links =\n    /one\n    two\n    /one\n",
        "/opt/venv/pip.conf": "[global]\nindex-url = https://venv.example/simple\n",
    }
    settings = read(tmp_path, files).packages
    assert settings.index_url == "https://venv.example/simple"
    assert settings.extra_index_urls == ("https://a.example", "https://b.example")
    assert settings.find_links == ("/one", "/srv/project/two")


def test_the_install_section_wins_over_global_even_from_an_earlier_file() -> None:
    first = "[install]\nindex-url = https://install.example\n"
    texts = [first, "[global]\nindex_url = https://global.example\n"]
    assert pip_settings(texts, {})["index-url"] == "https://install.example"


def test_a_broken_pip_conf_is_passed_over_and_the_others_count() -> None:
    assert pip_settings(["no section\n", "[global]\nno-index = true\n"], {}) == {"no-index": "true"}


def test_variables_win_over_pips_files_and_an_empty_one_does_not() -> None:
    text = "[global]\nindex-url = https://file.example\nfind-links = /file\n"
    environ = {"PIP_FIND_LINKS": "/env https://page.example/", "PIP_INDEX_URL": ""}
    settings = package_sources(pip_settings([text], environ), environ, HERE)
    assert settings.index_url == "https://file.example"
    assert settings.find_links == ("/env", "https://page.example/")
    assert settings.find_links_folders == (Path("/env"),)


def test_pip_config_file_replaces_the_users_files_only_where_it_exists() -> None:
    environ = {"PIP_CONFIG_FILE": "/x/pip.conf"}
    user = HOME / ".config/pip/pip.conf"
    assert user not in pip_config_paths(environ, HOME, PREFIX, [Path("/x/pip.conf")])
    assert user in pip_config_paths(environ, HOME, PREFIX, [])
    assert pip_config_paths(environ, HOME, PREFIX, [])[-1] == Path("/x/pip.conf")
    assert pip_config_paths({"PIP_CONFIG_FILE": "/dev/null"}, HOME, PREFIX, []) == ()


def test_uvs_variables_win_over_pips() -> None:
    environ = {
        "UV_DEFAULT_INDEX": "corp=https://default.example/simple",
        "UV_INDEX_URL": "https://older.example/simple",
        "UV_INDEX": "torch=https://torch.example/whl https://plain.example/?a=b",
        "UV_FIND_LINKS": "/uv,file:///uv%20two",
    }
    pip = {"index-url": "https://pip.example", "find-links": "/pip"}
    settings = package_sources(pip, environ, HERE)
    assert settings.index_url == "https://default.example/simple"
    assert settings.extra_index_urls == ("https://torch.example/whl", "https://plain.example/?a=b")
    assert settings.find_links == ("/uv", "/uv two", "/pip")


def test_credentials_are_neither_in_the_representation_nor_in_what_is_shown(tmp_path: Path) -> None:
    environ = {
        "PIP_INDEX_URL": "https://ann:secret@pip.example/simple",
        "HTTP_PROXY": "http://ann:secret@proxy:1",
    }
    here = read(tmp_path, {}, environ)
    assert here.packages.index_url == environ["PIP_INDEX_URL"]
    assert "secret" not in repr(here)
    assert without_credentials(here.packages.index_url) == "https://pip.example/simple"


def test_the_ca_bundle_is_the_first_named_file_that_can_be_read(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("certificates")
    environ = {"PIP_CERT": str(tmp_path / "missing.pem"), "REQUESTS_CA_BUNDLE": str(bundle)}
    assert read(tmp_path / "a", {}, environ).ca_bundle == bundle
    for name, cert, found in (("b", bundle, bundle), ("c", tmp_path, None)):
        conf = {"/etc/pip.conf": f"[global]\ncert = {cert}\n"}
        assert read(tmp_path / name, conf).ca_bundle == found


def test_of_a_proxy_in_both_cases_the_lower_one_counts() -> None:
    both = {"HTTP_PROXY": "http://upper:1", "http_proxy": "http://lower:1"}
    environ = {**both, "NO_PROXY": "localhost"}
    assert proxies(environ) == (("HTTP_PROXY", "http://lower:1"), ("NO_PROXY", "localhost"))
