"""What a setup.py asks for before it builds: text of strangers, which is read and never run."""

import pytest

from slimbake.lock.wheelhouse.sources import setup_requires


@pytest.mark.parametrize(
    ("setup", "found"),
    [
        ("setup(setup_requires=['numpy', 'cffi>=1'])", ["numpy", "cffi>=1"]),
        ("setup(setup_requires='numpy\\n\\ncffi')", ["numpy", "cffi"]),
        ("setup(**dict(setup_requires=('numpy',)))", ["numpy"]),
        ("setup(setup_requires=None)", []),
        ("setup(setup_requires=3)", []),
        ("setup(setup_requires=[1, {}])", []),
        ("setup(setup_requires=needed())", []),
        ("setup(setup_requires={[]: 1})", []),
        ("print 'Python 2'", []),
        ("setup(setup_requires=" + "(" * 5000 + ")" * 5000 + ")", []),
        ("setup(setup_requires=" + "-" * 100_000 + "1)", []),
        ("\0", []),
    ],
)
def test_a_setup_py_s_list_is_read_where_it_is_literal(setup: str, found: list[str]) -> None:
    assert setup_requires(setup) == found
