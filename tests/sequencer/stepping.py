"""Single-steps a C function of a forked child with ptrace: the parent looks at shared memory after each instruction."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_TRACEME, _PEEKTEXT, _POKETEXT, _CONT, _SINGLESTEP, _GETREGS, _SETREGS = 0, 1, 4, 7, 9, 12, 13
_RIP, _RSP = 16, 19
"""Words of user_regs_struct, x86-64."""
_INT3 = 0xCC

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def possible() -> bool:
    """Whether this machine can be stepped here."""
    return sys.platform == "linux" and os.uname().machine == "x86_64"


def _ptrace(request: int, pid: int, address: int = 0, data: int = 0) -> int:
    ctypes.set_errno(0)
    result = int(_libc.ptrace(request, pid, address, data))
    if result == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), f"ptrace {request}")
    return result


class Stepped:
    """A child that stops at the entry of `function` and goes on by one instruction at a time."""

    def __init__(self, function: int, call) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            try:
                _ptrace(_TRACEME, 0)
                os.kill(os.getpid(), signal.SIGSTOP)
                call()
            finally:
                os._exit(0)
        self._regs = (ctypes.c_uint64 * 27)()
        os.waitpid(self.pid, 0)
        word = _ptrace(_PEEKTEXT, self.pid, function)
        _ptrace(_POKETEXT, self.pid, function, (word & ~0xFF & (2**64 - 1)) | _INT3)
        _ptrace(_CONT, self.pid)
        _, status = os.waitpid(self.pid, 0)
        assert os.WIFSTOPPED(status), "the function was never called"
        assert os.WSTOPSIG(status) == signal.SIGTRAP
        _ptrace(_POKETEXT, self.pid, function, word & (2**64 - 1))
        regs = self._read()
        regs[_RIP] = function
        _ptrace(_SETREGS, self.pid, 0, ctypes.addressof(regs))
        self._stack = regs[_RSP]
        self.steps = 0

    def _read(self):
        _ptrace(_GETREGS, self.pid, 0, ctypes.addressof(self._regs))
        return self._regs

    def step(self) -> bool:
        """One instruction; False when the function has returned."""
        _ptrace(_SINGLESTEP, self.pid)
        os.waitpid(self.pid, 0)
        self.steps += 1
        return self._read()[_RSP] <= self._stack

    def kill(self) -> None:
        """As it stands."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
