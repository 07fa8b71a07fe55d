#!/usr/bin/env python3
"""Checks the rules of the house that a compiler does not: docs/architecture.md says why each is there.

Prints one line for each violation, "path:line: what is wrong", and fails where there is one.
"""

import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys

# Room -> (floor, rooms of its own floor that it may use). A room may use every room of a lower floor.
ROOMS = {
    "base": (0, ()),
    "http": (1, ()),
    "http2": (1, ("http",)),
    "proxyproto": (1, ()),
    "protect": (1, ()),
    "tls": (1, ()),
    "balance": (1, ()),
    "route": (1, ("http",)),
    "health": (1, ()),
    "config": (1, ("http", "route", "balance")),
    "metrics": (1, ()),
    "io": (2, ()),
    "rt": (3, ()),
    "upstream": (4, ()),
    "proxy": (5, ()),
    "control": (6, ()),
    "app": (7, ()),
}
PURE_FLOOR = 1
NO_LOCK_FLOORS = range(2, 6)

FUNCTION_LINES_MAX = 70
FILE_LINES_MAX = 500
# A file that is long on purpose says so near its top.
LONG_ON_PURPOSE = re.compile(r"^(//|#) Long on purpose: \S+.*")
TOP_LINES = 20

PURE_FORBIDDEN_INCLUDES = {"sys/socket.h", "liburing.h", "thread", "mutex"}
CLOCK = re.compile(
    r"_clock\s*::\s*now\b|\bclock_gettime\b|\bgettimeofday\b|(?<![\w.:>])(?:std\s*::\s*|::\s*)?time\s*\("
)
LOCKS = re.compile(r"\bstd\s*::\s*(function|mutex)\b")
LEFTOVER = re.compile(r"\b(TODO|FIXME|XXX)\b")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)

CPP_SUFFIXES = {".h", ".cc"}
TEXT_SUFFIXES = CPP_SUFFIXES | {".py", ".sh", ".txt", ".cmake", ".yaml", ".yml", ".md"}
TREES = ("include", "src", "tests", "bench", "conf", "docker", "docs", ".cmake", ".ci")


def blank(text):
    """As many lines, nothing on them."""
    return re.sub(r"[^\n]", " ", text)


TOKENS = re.compile(
    r"""//[^\n]*|/\*.*?\*/
      |R"(?P<tag>[^\s()\\]{0,16})\(.*?\)(?P=tag)"
      |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'(?!\w)""",
    re.S | re.X,
)


def code_of(text):
    """The text with comments, strings and character literals blanked, all at their old places."""

    def replace(match):
        found = match.group(0)
        # A ' between digits separates them and begins nothing.
        before = text[match.start() - 1 : match.start()]
        if found[0] == "'" and before.isalnum():
            return found
        return blank(found)

    return TOKENS.sub(replace, text)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def room_of(path):
    """The room of a source path relative to the root, or None."""
    parts = path.parts
    if parts[:2] == ("include", "rondo") and len(parts) > 3:
        return parts[2]
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    return None


def may_use(room, other):
    floor, same_floor = ROOMS[room]
    return other == room or ROOMS[other][0] < floor or other in same_floor


def check_includes(path, text):
    room = room_of(path)
    if room is None:
        return
    if room not in ROOMS:
        yield 1, f"the room {room} has no floor; give it one in tests/lint/lint.py and docs/architecture.md"
        return
    public = path.parts[0] == "include"
    for match in INCLUDE.finditer(text):
        line = line_of(text, match.start(1))
        quoted, name = match.group(1) == '"', match.group(2)
        parts = name.split("/")
        if parts[0] == "rondo" and len(parts) == 3:
            other = parts[1]
            if other not in ROOMS:
                yield line, f"the room {other} has no floor"
            elif not may_use(room, other):
                yield line, (
                    f"{room} (floor {ROOMS[room][0]}) may not include {name} (floor {ROOMS[other][0]})"
                )
        elif quoted and parts[0] in ROOMS:
            if public:
                yield line, f"a public header may not include {name}, which is private"
            elif parts[0] != room:
                yield line, f"{name} is private to {parts[0]}"
        if ROOMS[room][0] == PURE_FLOOR and name in PURE_FORBIDDEN_INCLUDES:
            yield line, f"{room} is pure and may not include <{name}>"


def check_words(path, text):
    """Clocks in pure rooms, locks and std::function where a loop runs."""
    room = room_of(path)
    if room not in ROOMS:
        return
    floor = ROOMS[room][0]
    code = code_of(text)
    if floor == PURE_FLOOR:
        for match in CLOCK.finditer(code):
            yield line_of(code, match.start()), f"{room} is pure and may not read a clock; take the time as an argument"
    if floor in NO_LOCK_FLOORS:
        for match in LOCKS.finditer(code):
            yield line_of(code, match.start()), f"std::{match.group(1)} has no place in {room} (floors 2 to 5)"


def functions_of(text):
    """(first line, last line) of each function's body that stands at namespace or class level."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda match: blank(match.group(0)), code_of(text), flags=re.M)
    stack = []  # what each open brace began: "outer" (namespaces and classes), "function" or "inner"
    began = 0
    head_from = 0
    for match in re.finditer(r"[{};]", code):
        at = match.start()
        if match.group(0) == "{":
            if stack and stack[-1] != "outer":
                stack.append("inner")
            elif is_scope(code[head_from:at]):
                stack.append("outer")
            elif "(" in code[head_from:at] and not re.search(r"=\s*$", code[head_from:at]):
                stack.append("function")
                head = code[head_from:at]
                began = head_from + len(head) - len(head.lstrip())
            else:
                stack.append("inner")
        elif match.group(0) == "}" and stack:
            if stack.pop() == "function":
                yield line_of(code, began), line_of(code, at)
        if not stack or stack[-1] == "outer":
            head_from = at + 1


def is_scope(head):
    """Whether a brace behind `head` opens a namespace, a class or the like."""
    head = re.sub(r"\balignas\s*\([^)]*\)|\[\[[^\]]*\]\]|\btemplate\s*<[^{}()]*>|\w+\s*:(?!:)", " ", head, count=8)
    return re.match(r"\s*(?:inline\s+)?(?:namespace|extern|class|struct|union|enum)\b(?!.*\))", head, re.S) is not None


def check_lengths(path, text):
    lines = text.splitlines()
    if any(LONG_ON_PURPOSE.match(line) for line in lines[:TOP_LINES]):
        return
    hint = 'find the second job in it, or state "Long on purpose: REASON" in a comment at the top of the file'
    if len(lines) > FILE_LINES_MAX:
        yield 1, f"{len(lines)} lines, more than {FILE_LINES_MAX}: {hint}"
    # A test's table is data, however long.
    if path.suffix not in CPP_SUFFIXES or path.parts[0] == "tests":
        return
    for first, last in functions_of(text):
        if last - first + 1 > FUNCTION_LINES_MAX:
            yield first, f"a function of {last - first + 1} lines, more than {FUNCTION_LINES_MAX}: {hint}"


def check_leftovers(path, text):
    if path.parts[:2] == ("tests", "lint"):
        return
    for match in LEFTOVER.finditer(text):
        yield line_of(text, match.start()), f"a leftover {match.group(1)}"


def check_text(path, text):
    """Everything that can be said about one file, by its path from the root and its text: (line, message)s."""
    yield from check_leftovers(path, text)
    if path.suffix in CPP_SUFFIXES:
        yield from check_includes(path, text)
        yield from check_words(path, text)
    if path.suffix in CPP_SUFFIXES | {".py", ".sh"}:
        yield from check_lengths(path, text)


def files_of(root):
    for tree in TREES:
        for path in sorted((root / tree).rglob("*")):
            relative = path.relative_to(root)
            if "corpus" in relative.parts or not path.is_file():
                continue
            if path.suffix in TEXT_SUFFIXES or path.parent == root / ".ci":
                yield relative
    for name in ("CMakeLists.txt", "Makefile", "README.md"):
        if (root / name).is_file():
            yield pathlib.Path(name)


def check_alone(root, header, compiler):
    """Compiles a file that includes nothing but `header`; returns violations."""
    name = header.relative_to("include").as_posix()
    command = [compiler, "-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", str(root / "include"),
               "-x", "c++", "-"]
    done = subprocess.run(command, input=f'#include "{name}"\n', capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return []
    first = next((line for line in done.stderr.splitlines() if "error:" in line), "the compiler failed")
    return [(1, f"does not compile alone: {first}")]


def check_headers(root, compiler):
    headers = [path.relative_to(root) for path in sorted((root / "include" / "rondo").rglob("*.h"))]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = pool.map(lambda header: check_alone(root, header, compiler), headers)
        for header, violations in zip(headers, results):
            for violation in violations:
                yield header, violation


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    parser.add_argument("--compiler", help="also compile each public header alone, with this")
    arguments = parser.parse_args()
    root = arguments.root
    found = 0
    checked = 0
    for path in files_of(root):
        checked += 1
        for line, message in check_text(path, (root / path).read_text(encoding="utf-8", errors="replace")):
            print(f"{path}:{line}: {message}")
            found += 1
    if arguments.compiler:
        for path, (line, message) in check_headers(root, arguments.compiler):
            print(f"{path}:{line}: {message}")
            found += 1
    print(f"{checked} files, {found} violations")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
