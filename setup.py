"""Build the native scorer where there is a C compiler; where there is none, the build goes on without it."""

import sys
import sysconfig

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

# One wheel serves every Python from 3.11 on. The stable ABI of 3.10 has no buffers, and a free-threaded Python has none at all.
STABLE = sys.version_info >= (3, 11) and not sysconfig.get_config_var("Py_GIL_DISABLED")


class OptionalBuild(build_ext):
    """Build the extension, or say that the NumPy scorer will be used."""

    def run(self) -> None:
        """Build; a failure is a warning."""
        try:
            super().run()
        except Exception as error:  # whatever a missing or broken compiler raises
            self.warn(f"policyclf is installed without its native scorer: {error}")


windows = sysconfig.get_platform().startswith("win")
native = Extension(
    "policyclf._native",
    ["policyclf/_native.c"],
    optional=True,
    define_macros=[("Py_LIMITED_API", "0x030B0000")] if STABLE else [],
    py_limited_api=STABLE,
    libraries=[] if windows else ["m"],
    extra_compile_args=[] if windows else ["-std=c11", "-O3"],
)

setup(
    ext_modules=[native],
    exclude_package_data={"policyclf": ["*.c"]},
    cmdclass={"build_ext": OptionalBuild},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if STABLE else {},
)
