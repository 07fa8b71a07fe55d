// What a process gives up once it has bound its sockets: root, other capabilities, core dumps.
// Control thread, before there are workers.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace rondo::control {

struct Account {
  std::string user;
  uid_t uid = 0;
  gid_t gid = 0;
  bool named = false;  // it is in the system's list, so it may have further groups
};

// "user" (with its own group) or "user:group", by name or by number.
absl::StatusOr<Account> FindAccount(std::string_view user);

// Becomes that account for good, with its groups. CAP_NET_BIND_SERVICE is kept where it was there,
// so that a reload may open port 443; nothing else is. No effect where the process is that account
// already. Core dumps that were forbidden stay so. REQUIRES: threads that are there need no
// capability.
absl::Status BecomeAccount(const Account& account);

// Whether the process as it is now may make and replace files beside `path`; whether it may read
// `path`. 0, or the errno.
int MayReplace(const std::string& path);
int MayRead(const std::string& path);

// No core file and no debugger sees this process's memory from now on: it holds private keys.
void ForbidCoreDumps();

}  // namespace rondo::control
