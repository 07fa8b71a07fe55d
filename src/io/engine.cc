#include "rondo/io/engine.h"

#include <sys/utsname.h>

#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "io/epoll_engine.h"
#include "io/uring_engine.h"

namespace rondo::io {
namespace {

std::string KernelName() {
  utsname name{};
  uname(&name);
  return absl::StrCat("Linux ", static_cast<const char*>(name.release));
}

// Why io_uring is not there, as opposed to a lack of memory or descriptors; nullptr for those.
const char* RefusalReason(int error) {
  switch (error) {
    case ENOSYS:
      return "the kernel does not have it, or a seccomp profile hides it";
    case EPERM:
    case EACCES:
      return "a seccomp profile (that of a container, say) or the sysctl kernel.io_uring_disabled "
             "forbids it";
    case EOPNOTSUPP:
      return "the kernel does not support it";
    case EINVAL:
      return "the kernel lacks what Rondo needs of it: that came with Linux 6.1";
    default:
      return nullptr;
  }
}

}  // namespace

absl::StatusOr<EngineChoice> ChooseEngine(const std::string& requested) {
  if (requested == "epoll") {
    return EngineChoice{EngineKind::kEpoll, "The engine is epoll, as configured."};
  }
  const bool automatic = requested == "auto";
  if (!automatic && requested != "io_uring") {
    return absl::InvalidArgumentError(
        absl::StrCat("unknown engine '", requested, "': use auto, io_uring or epoll"));
  }
  int error = 0;
  const auto engine = UringEngine::Make(EngineOptions{}, &error);
  if (engine.ok()) {
    const char* why = automatic ? ", since the kernel offers it (" : ", as configured (";
    return EngineChoice{EngineKind::kIoUring,
                        absl::StrCat("The engine is io_uring", why, KernelName(), ").")};
  }
  const char* reason = RefusalReason(error);
  if (reason == nullptr) return engine.status();
  const std::string refusal = absl::StrCat("io_uring was refused (", std::strerror(error), ", ",
                                           KernelName(), "): ", reason);
  if (!automatic) {
    return absl::UnavailableError(
        absl::StrCat(refusal, ". Allow it there, or set process.engine to auto or epoll."));
  }
  return EngineChoice{EngineKind::kEpoll,
                      absl::StrCat("The engine is epoll, since ", refusal, ".")};
}

absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(EngineKind kind, const EngineOptions& options) {
  switch (kind) {
    case EngineKind::kIoUring: {
      int error = 0;
      auto engine = UringEngine::Make(options, &error);
      if (!engine.ok()) return engine.status();
      return std::unique_ptr<Engine>(std::move(*engine));
    }
    case EngineKind::kEpoll: {
      auto engine = EpollEngine::Make(options);
      if (!engine.ok()) return engine.status();
      return std::unique_ptr<Engine>(std::move(*engine));
    }
  }
  return absl::InternalError("an engine of no kind");
}

}  // namespace rondo::io
