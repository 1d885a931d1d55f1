"""Builds the C kernels; everything else is in pyproject.toml."""

import glob
import os
import platform
import shutil
import sys
import sysconfig

from setuptools import Extension, setup

# cffi needs a compiler; without this check the build ends in a page of distutils traceback.
compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
looked_for = list(dict.fromkeys([compiler, "gcc", "cc", "clang"]))
if not any(map(shutil.which, looked_for)) and "sdist" not in sys.argv:
    sys.exit(
        f"lockstep: no C compiler found (looked for {', '.join(looked_for)}). The journal, ring and book kernels are C.\n"
        "  Debian/Ubuntu: apt-get install gcc    Fedora: dnf install gcc    macOS: xcode-select --install\n"
        "Then run the same command again."
    )

# Kernels serve every version of Python, accelerators one: for another version beside this one they alone are wanted.
only_accelerators = os.environ.get("LOCKSTEP_BUILD") == "accelerators"
builders = {path for path in glob.glob("*/**/kernel/build.py", recursive=True) if not path.startswith("build/")}
flags = ["-O2", "-std=c11", "-fno-strict-aliasing", "-Wall", "-Wextra", "-Wno-missing-field-initializers"]
flags += ["-msse4.2"] if platform.machine() == "x86_64" else []


def accelerator(name: str, *sources: str) -> Extension:
    """An extension that nothing depends on: where it does not build, the package is installed without it."""
    files = [path for pattern in sources for path in sorted(glob.glob(pattern))]
    headers = sorted(glob.glob("*/**/kernel/*.h", recursive=True) + glob.glob("*/kernel/python/*.h"))
    return Extension(name, files, include_dirs=["."], depends=headers, extra_compile_args=flags, optional=True)


setup(
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
    cffi_modules=[] if only_accelerators else [f"{path}:ffibuilder" for path in sorted(builders)],
    ext_modules=[
        accelerator(
            "journal.kernel._fast",
            "journal/kernel/python/*.c",
            "journal/kernel/reader.c",
            "journal/kernel/follow.c",
            "journal/kernel/ahead.c",
            "journal/kernel/murmur3.c",
        ),
        accelerator("sequencer.kernel._fast", "sequencer/kernel/python/*.c"),
        accelerator("apps.kernel._fast", "apps/kernel/python/*.c", "apps/books/kernel/book.c"),
    ],
)
