#!/usr/bin/env python3
"""Compiles a CUDA file to machine code with NVRTC, which is nvcc's device half as a library, and writes what ptxas says of each kernel (as nvcc -Xptxas -v).

usage: nvrtc.py ARCHITECTURE FILE.cu [-I FOLDER]...      e.g. nvrtc.py 75 tests/cuda/kernels.cu -I include

It takes the wheels nvidia-cuda-{nvrtc,runtime,cccl,nvcc}-cu12 of the Python that runs it. NVRTC sees device code alone and has no C++ library: what stands in
device_only/ comes first on the include path. Warnings are errors, and so are registers that spill.
"""
import ctypes
import pathlib
import re
import sys
import sysconfig

WHEELS = pathlib.Path(sysconfig.get_paths()["purelib"], "nvidia")
DEVICE_ONLY = pathlib.Path(__file__).resolve().parent / "device_only"
STANDARD = "array bit cmath compare concepts cstddef cstdint limits numbers span string_view type_traits utility".split()


def strings(texts):
    return (ctypes.c_char_p * len(texts))(*[text.encode() for text in texts])


class Program:
    def __init__(self, path):
        self.library = ctypes.CDLL(str(next(WHEELS.glob("cuda_nvrtc/lib/libnvrtc.so.*"))))
        self.handle = ctypes.c_void_p()
        source, headers = pathlib.Path(path).read_text(), ["#include <standard.hpp>\n"] * len(STANDARD)
        self.call("CreateProgram", ctypes.byref(self.handle), source.encode(), path.encode(), len(headers), strings(headers), strings(STANDARD))

    def call(self, name, *arguments):
        if self.library[f"nvrtc{name}"](*arguments) != 0:
            sys.exit(f"nvrtc.py: nvrtc{name} failed")

    def compile(self, options):
        """Returns NVRTC's messages, and whether it failed."""
        failed = self.library.nvrtcCompileProgram(self.handle, len(options), strings(options)) != 0
        size = ctypes.c_size_t()
        self.call("GetProgramLogSize", self.handle, ctypes.byref(size))
        log = ctypes.create_string_buffer(size.value)
        self.call("GetProgramLog", self.handle, log)
        return log.value.decode(), failed

    def machine_code_bytes(self):
        size = ctypes.c_size_t()
        self.call("GetCUBINSize", self.handle, ctypes.byref(size))
        return size.value


def main(arguments):
    if len(arguments) < 2 or not arguments[0].isdigit() or len(arguments) % 2 or set(arguments[2::2]) - {"-I"}:
        sys.exit(__doc__)
    architecture, path, folders = arguments[0], arguments[1], [str(DEVICE_ONLY), *arguments[3::2], *map(str, WHEELS.glob("cuda_*/include"))]
    # -default-device: what says nothing is device code. 554: as in cmake/cuda.cmake.
    options = [f"-arch=sm_{architecture}", "-std=c++20", "-default-device", "-diag-suppress=554", "-DCUDA_NO_HALF", "--ptxas-options=-v", *(f"-I{folder}" for folder in folders)]
    program = Program(path)
    log, failed = program.compile(options)
    print(log)
    if failed or re.search(r"\b(warning|error)\b|[1-9]\d* bytes (stack frame|spill)", log, re.IGNORECASE) or program.machine_code_bytes() == 0:
        sys.exit(f"nvrtc.py: {path} doesn't compile without a warning or a spill for sm_{architecture}")


main(sys.argv[1:])
