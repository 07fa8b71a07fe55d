"""Which engine is taken, and what happens where the kernel or a container's seccomp filter refuses io_uring."""
import ctypes
import errno
import platform
import re
import struct
import unittest

import harness
from harness import EndToEnd, one_route

IO_URING_CALLS = (425, 426, 427)  # io_uring_setup, _enter, _register: the same on all architectures


def refuse_io_uring(error):
    """For preexec: a seccomp filter that answers `error` to the three calls."""
    def instruction(code, yes, no, value):
        return struct.pack("=HBBI", code, yes, no, value)
    load_number, jump_equal, give_back = 0x20, 0x15, 0x06
    allow, fail = 0x7FFF0000, 0x00050000
    calls = len(IO_URING_CALLS)
    program = [instruction(load_number, 0, 0, 0)]
    program += [instruction(jump_equal, calls - i, 0, number) for i, number in enumerate(IO_URING_CALLS)]
    program += [instruction(give_back, 0, 0, allow), instruction(give_back, 0, 0, fail | error)]
    code = ctypes.create_string_buffer(b"".join(program))

    class Filter(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("code", ctypes.c_void_p)]
    block = Filter(len(program), ctypes.cast(code, ctypes.c_void_p))
    libc = ctypes.CDLL(None, use_errno=True)

    def apply():
        if libc.prctl(38, 1, 0, 0, 0) != 0 or libc.prctl(22, 2, ctypes.byref(block), 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "seccomp")
    return apply


@unittest.skipUnless(platform.machine() in ("x86_64", "aarch64"), "the filter does not look at the architecture")
class Engine(EndToEnd):
    def auto(self, **options):
        config = one_route(self.backend().address)
        return self.rondo("process: {workers: 2, engine: auto}\nlogging: {access: {path: \"off\"}}\n" + config, **options)

    def engine_lines(self, rondo):
        return [line for line in rondo.lines if re.search(r"engine", line)]

    def test_auto_serves_and_says_what_it_took_once(self):
        rondo = self.auto()
        self.check_alive(rondo)
        self.assertEqual(len(self.engine_lines(rondo)), 1, rondo.stderr())

    def test_auto_falls_back_to_epoll_where_io_uring_is_refused(self):
        for error in (errno.EPERM, errno.ENOSYS, errno.EACCES):
            with self.subTest(errno.errorcode[error]):
                rondo = self.auto(preexec=refuse_io_uring(error))
                self.check_alive(rondo)
                lines = self.engine_lines(rondo)
                self.assertEqual(len(lines), 1, rondo.stderr())
                self.assertIn("epoll", lines[0])

    def test_io_uring_that_was_asked_for_by_name_and_is_refused_is_an_error(self):
        path = f"{self.folder}/uring.yaml"
        with open(path, "w", encoding="utf-8") as file:
            file.write("process: {engine: io_uring}\n" + one_route("127.0.0.1:1"))
        program = self.program("run", "-c", path, preexec=refuse_io_uring(errno.EPERM))
        program.expected_status = 1
        self.assertEqual(program.wait(), 1)
        self.assertIn("io_uring", program.stderr())

    def test_epoll_never_touches_the_calls(self):
        rondo = self.rondo("process: {workers: 1, engine: epoll}\nlogging: {access: {path: \"off\"}}\n"
                           + one_route(self.backend().address), preexec=refuse_io_uring(errno.EPERM))
        self.check_alive(rondo)


if __name__ == "__main__":
    harness.main()
