// Becoming somebody else, in processes of its own; only root can.
#include "control/privileges.h"

#include <gtest/gtest.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// As kernels do it whose fs.suid_dumpable is 1: with another user a process may be dumped again. In
// place of the C library's, for this program alone.
extern "C" int setresuid(uid_t real, uid_t effective, uid_t saved) noexcept {
  const auto result = static_cast<int>(syscall(SYS_setresuid, real, effective, saved));
  if (result == 0) prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
  return result;
}

namespace rondo::control {
namespace {

constexpr int kFailed = 9;

// 0 or 1: whether a process may be dumped that became nobody; kFailed where it may not become him.
int Become(bool with_keys) {
  const pid_t child = fork();
  if (child == 0) {
    if (with_keys) ForbidCoreDumps();
    const absl::Status become = BecomeAccount(Account{"65534", 65534, 65534, false});
    _exit(become.ok() && geteuid() == 65534 ? prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) : kFailed);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST(PrivilegesTest, CoreDumpsStayForbiddenWithAnotherUser) {
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
  GTEST_SKIP() << "the sanitizer has a setresuid of its own";
#endif
#endif
  const int without = Become(false);
  if (without == kFailed) GTEST_SKIP() << "only root can become somebody else";
  EXPECT_EQ(without, 1);
  EXPECT_EQ(Become(true), 0);
}

}  // namespace
}  // namespace rondo::control
