#include "control/privileges.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include "rondo/base/log.h"

namespace rondo::control {
namespace {

std::optional<uint32_t> Number(std::string_view text) {
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

absl::Status FindUser(const std::string& name, Account& account) {
  std::vector<char> room(16 * 1024);
  passwd entry{};
  passwd* found = nullptr;
  int error = getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
  const std::optional<uint32_t> number = Number(name);
  if (found == nullptr && number)
    error = getpwuid_r(*number, &entry, room.data(), room.size(), &found);
  if (found != nullptr) {
    account = Account{found->pw_name, found->pw_uid, found->pw_gid, true};
    return absl::OkStatus();
  }
  if (number) {
    account = Account{name, *number, *number, false};
    return absl::OkStatus();
  }
  // Some systems say "no such user" by an error.
  const bool missing = error == 0 || error == ENOENT || error == ESRCH || error == EPERM;
  return absl::NotFoundError("process.user: there is no user " + name +
                             (missing ? "" : std::string(": ") + std::strerror(error)));
}

absl::Status FindGroup(const std::string& name, gid_t& gid) {
  std::vector<char> room(64 * 1024);
  group entry{};
  group* found = nullptr;
  (void)getgrnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
  if (found != nullptr) {
    gid = found->gr_gid;
    return absl::OkStatus();
  }
  const std::optional<uint32_t> number = Number(name);
  if (!number) return absl::NotFoundError("process.user: there is no group " + name);
  gid = *number;
  return absl::OkStatus();
}

constexpr uint32_t kBindService = 1U << CAP_NET_BIND_SERVICE;

struct Capabilities {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};

  bool Get() { return syscall(SYS_capget, &header, data) == 0; }
  bool Set() { return syscall(SYS_capset, &header, data) == 0; }
};

absl::Status CannotBecome(const Account& account, const char* step, int error) {
  std::string message =
      "process.user: cannot become " + account.user + ": " + step + ": " + std::strerror(error);
  if (error == EPERM) message += " (only root can: start as root, or leave process.user out)";
  return absl::PermissionDeniedError(message);
}

// Only the capability to open low ports, where it was there.
absl::Status KeepOnly(uint32_t kept) {
  Capabilities capabilities;
  capabilities.data[0].permitted = kept;
  capabilities.data[0].effective = kept;
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (capabilities.Set()) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, "process.user: cannot give up capabilities");
}

absl::Status Become(const Account& account) {
  if (geteuid() == account.uid && getuid() == account.uid && getegid() == account.gid)
    return absl::OkStatus();
  Capabilities before;
  const bool had = before.Get() && (before.data[0].permitted & kBindService) != 0;
  const int groups =
      account.named ? initgroups(account.user.c_str(), account.gid) : setgroups(1, &account.gid);
  if (groups != 0) return CannotBecome(account, "groups", errno);
  if (setresgid(account.gid, account.gid, account.gid) != 0)
    return CannotBecome(account, "group", errno);
  if (account.uid == 0) return absl::OkStatus();
  // Else the change of user would take all capabilities.
  (void)prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
  if (setresuid(account.uid, account.uid, account.uid) != 0)
    return CannotBecome(account, "user", errno);
  (void)prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
  if (absl::Status kept = KeepOnly(had ? kBindService : 0); !kept.ok()) return kept;
  if (setuid(0) == 0)
    return absl::InternalError("process.user: root could be had again, which must not be");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Account> FindAccount(std::string_view user) {
  const size_t colon = user.find(':');
  Account account;
  if (absl::Status found = FindUser(std::string(user.substr(0, colon)), account); !found.ok())
    return found;
  if (colon == std::string_view::npos) return account;
  if (absl::Status found = FindGroup(std::string(user.substr(colon + 1)), account.gid); !found.ok())
    return found;
  return account;
}

absl::Status BecomeAccount(const Account& account) {
  const bool forbidden = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
  absl::Status become = Become(account);
  // With another account the kernel decides anew, by fs.suid_dumpable.
  if (forbidden) ForbidCoreDumps();
  return become;
}

int MayReplace(const std::string& path) {
  const size_t slash = path.rfind('/');
  std::string folder = ".";
  if (slash != std::string::npos) folder = slash == 0 ? "/" : path.substr(0, slash);
  return faccessat(AT_FDCWD, folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

int MayRead(const std::string& path) {
  return faccessat(AT_FDCWD, path.c_str(), R_OK, AT_EACCESS) == 0 ? 0 : errno;
}

void ForbidCoreDumps() {
  const rlimit none{0, 0};
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
    LogWarn(std::string("core dumps cannot be forbidden: ") + std::strerror(errno));
}

}  // namespace rondo::control
