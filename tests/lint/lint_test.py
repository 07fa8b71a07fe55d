"""The checks of lint.py on small made-up files: what they find, and what they leave alone."""

import pathlib
import sys
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).parent))
import lint  # noqa: E402


def messages(path, text):
    return [message for _, message in lint.check_text(pathlib.Path(path), text)]


def long_function(head, lines):
    return head + " {\n" + "  Call();\n" * (lines - 2) + "}\n"


class Includes(unittest.TestCase):
    def test_lower_floors_are_allowed(self):
        for path, line in [
            ("include/rondo/rt/a.h", '#include "rondo/io/op.h"'),
            ("include/rondo/route/a.h", '#include "rondo/http/message.h"'),
            ("src/config/a.cc", '#include "rondo/route/router.h"'),
            ("src/config/a.cc", '#include "config/keys.h"'),
            ("src/proxy/a.cc", '#include "absl/strings/str_cat.h"'),
            ("src/proxy/a.cc", "#include <mutex>"),
            ("tests/proxy/a_test.cc", '#include "proxy/retry.h"'),
            ("src/app/main.cc", '#include "rondo/control/server.h"'),
        ]:
            self.assertEqual(messages(path, line + "\n"), [], path + line)

    def test_what_is_not_below_is_refused(self):
        for path, line, words in [
            ("include/rondo/io/a.h", '#include "rondo/rt/task.h"', "floor"),
            ("src/http/a.cc", '#include "rondo/route/router.h"', "floor"),
            ("src/balance/a.cc", "  #  include <rondo/config/config.h>", "floor"),
            ("src/proxy/a.cc", '#include "rondo/control/server.h"', "floor"),
            ("src/proxy/a.cc", '#include "upstream/x.h"', "private to upstream"),
            ("include/rondo/proxy/a.h", '#include "proxy/retry.h"', "public header"),
            ("src/http/a.cc", "#include <sys/socket.h>", "pure"),
            ("include/rondo/metrics/a.h", "#include <mutex>", "pure"),
            ("src/route/a.cc", "#include <thread>", "pure"),
            ("src/misc/a.cc", "", "no floor"),
            ("src/proxy/a.cc", '#include "rondo/misc/a.h"', "no floor"),
        ]:
            found = messages(path, line + "\n")
            self.assertEqual(len(found), 1, path + line)
            self.assertIn(words, found[0])


class Words(unittest.TestCase):
    def test_clocks_in_pure_rooms(self):
        for code in [
            "auto t = std::chrono::steady_clock::now();",
            "clock_gettime(CLOCK_MONOTONIC, &t);",
            "gettimeofday(&t, nullptr);",
            "x = time(nullptr);",
            "x = std::time(nullptr);",
            "x = ::time(&y);",
        ]:
            self.assertEqual(len(messages("src/http/a.cc", code)), 1, code)
            self.assertEqual(messages("src/io/a.cc", code), [], code)

    def test_what_only_looks_like_a_clock(self):
        for code in [
            "connect_time(1);",
            "record.time(1);",
            "Entry::time(1);",
            "// call time(nullptr)",
            'Say("time(nullptr)");',
            'R"(time(nullptr))";',
            "/* steady_clock::now() */",
            "int x = 1'000; // time()",
        ]:
            self.assertEqual(messages("src/http/a.cc", code), [], code)

    def test_locks_and_functions_where_loops_run(self):
        for code in ["std::function<void()> f;", "std::mutex m;", "std :: mutex m;"]:
            for room, count in [("io", 1), ("rt", 1), ("upstream", 1), ("proxy", 1), ("control", 0), ("base", 0)]:
                self.assertEqual(len(messages(f"src/{room}/a.cc", code)), count, room + code)

    def test_leftovers(self):
        for word in ["TO" + "DO", "FIX" + "ME", "XX" + "X"]:
            self.assertEqual(len(messages("docs/a.md", f"one {word}: two")), 1)
            self.assertEqual(messages("docs/a.md", f"temp_{word}XXX"), [])


class Lengths(unittest.TestCase):
    HEADS = [
        "int F(int a)",
        "void Class::Member() const noexcept",
        "Class::Class(int a)\n    : a_(a),\n      b_(1)",
        "template <class T>\nauto F(T t) -> decltype(t)",
        "rt::Task<> Exchange::Run()",
        "bool operator==(const A& a, const B& b)",
        "static void F(const char* s = \"{\")",
    ]

    def test_functions(self):
        for head in self.HEADS:
            extra = head.count("\n")
            for text in [long_function(head, 71 - extra), "namespace a {\nnamespace {\n" + long_function(head, 71 - extra) + "}\n}\n"]:
                found = messages("src/http/a.cc", text)
                self.assertEqual(len(found), 1, head)
                self.assertIn("71 lines", found[0])
            self.assertEqual(messages("src/http/a.cc", long_function(head, 70 - extra)), [], head)

    def test_members_in_a_class(self):
        text = "class alignas(64) A : public B<C> {\n public:\n" + long_function("  void F()", 80) + "  int x_;\n};\n"
        self.assertEqual(len(messages("include/rondo/http/a.h", text)), 1)

    def test_what_is_not_a_function(self):
        body = "  1,\n" * 100
        for text in [
            "constexpr int kTable[] = {\n" + body + "};\n",
            "struct A {\n" + "  int x;\n" * 100 + "};\n",
            "enum class A : uint8_t {\n" + body + "};\n",
            "namespace a {\n" + "int x;\n" * 100 + "}\n",
            "#define A(x) \\\n" + "  x \\\n" * 100 + "  y\n",
        ]:
            self.assertEqual(messages("src/http/a.cc", text), [], text[:30])

    def test_tests_may_hold_long_tables(self):
        self.assertEqual(messages("tests/http/a_test.cc", long_function("TEST(A, B)", 100)), [])

    def test_files(self):
        self.assertEqual(len(messages("src/http/a.cc", "int x;\n" * 501)), 1)
        self.assertEqual(messages("src/http/a.cc", "int x;\n" * 500), [])
        self.assertEqual(len(messages("tests/e2e/a.py", "x = 1\n" * 501)), 1)

    def test_a_stated_reason(self):
        reason = "// Long on purpose: one table of all keys.\n"
        self.assertEqual(messages("src/http/a.cc", reason + "int x;\n" * 600), [])
        self.assertEqual(messages("src/http/a.cc", reason + long_function("int F()", 100)), [])
        self.assertEqual(messages("a/b.py", "# Long on purpose: a script.\n" + "x = 1\n" * 600), [])
        self.assertEqual(len(messages("src/http/a.cc", "// Long on purpose:\n" + "int x;\n" * 600)), 1)


if __name__ == "__main__":
    unittest.main()
