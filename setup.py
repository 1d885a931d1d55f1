"""Builds the C kernels; everything else is in pyproject.toml."""

import glob
import shutil
import sys
import sysconfig

from setuptools import setup

# cffi needs a compiler; without this check the build ends in a page of distutils traceback.
compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
looked_for = list(dict.fromkeys([compiler, "gcc", "cc", "clang"]))
if not any(map(shutil.which, looked_for)) and "sdist" not in sys.argv:
    sys.exit(
        f"lockstep: no C compiler found (looked for {', '.join(looked_for)}). The journal, ring and book kernels are C.\n"
        "  Debian/Ubuntu: apt-get install gcc    Fedora: dnf install gcc    macOS: xcode-select --install\n"
        "Then run the same command again."
    )

builders = {path for path in glob.glob("*/**/kernel/build.py", recursive=True) if not path.startswith("build/")}
setup(cffi_modules=[f"{path}:ffibuilder" for path in sorted(builders)])
