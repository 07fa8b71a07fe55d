#include "control/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "control/json_writer.h"
#include "rondo/balance/stable_hash.h"

namespace rondo::control {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kMagic = "rondo-state ";
constexpr uint64_t kVersion = 1;
constexpr size_t kBytesMax = 256 * 1024 * 1024;

absl::Status Failed(std::string_view what, const std::string& path, int error) {
  const std::string message =
      "cannot " + std::string(what) + " " + path + ": " + std::strerror(error);
  return error == ENOENT ? absl::NotFoundError(message) : absl::UnavailableError(message);
}

class RealFileSystem : public FileSystem {
 public:
  absl::StatusOr<std::string> Read(const std::string& path) override {
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return Failed("open", path, errno);
    std::string bytes;
    char piece[64 * 1024];
    for (;;) {
      const ssize_t got = read(fd, piece, sizeof(piece));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0 || bytes.size() > kBytesMax) {
        const int error = got < 0 ? errno : EFBIG;
        close(fd);
        return Failed("read", path, error);
      }
      if (got == 0) break;
      bytes.append(piece, static_cast<size_t>(got));
    }
    close(fd);
    return bytes;
  }

  absl::Status WriteAndSync(const std::string& path, std::string_view bytes) override {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return Failed("open", path, errno);
    while (!bytes.empty()) {
      const ssize_t written = write(fd, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        const int error = errno;
        close(fd);
        return Failed("write", path, error);
      }
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    const int synced = fsync(fd) == 0 ? 0 : errno;
    const int closed = close(fd) == 0 ? 0 : errno;
    if (synced != 0) return Failed("sync", path, synced);
    if (closed != 0) return Failed("close", path, closed);
    return absl::OkStatus();
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) != 0) return Failed("replace", to, errno);
    return absl::OkStatus();
  }

  absl::Status OpenDirectoryOf(const std::string& path) override {
    if (directory_fd_ >= 0) return absl::OkStatus();
    const std::string directory = DirectoryOf(path);
    directory_fd_ = open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return directory_fd_ < 0 ? Failed("open", directory, errno) : absl::OkStatus();
  }

  absl::Status SyncDirectoryOf(const std::string& path) override {
    const int synced = fsync(directory_fd_) == 0 ? 0 : errno;
    close(std::exchange(directory_fd_, -1));
    if (synced != 0) return Failed("sync", DirectoryOf(path), synced);
    return absl::OkStatus();
  }

  bool Exists(const std::string& path) override { return access(path.c_str(), F_OK) == 0; }

  ~RealFileSystem() override {
    if (directory_fd_ >= 0) close(directory_fd_);
  }

 private:
  static std::string DirectoryOf(const std::string& path) {
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
  }

  int directory_fd_ = -1;  // from OpenDirectoryOf to SyncDirectoryOf
};

std::string HashText(std::string_view bytes) {
  char text[17];
  std::snprintf(text, sizeof(text), "%016llx",
                static_cast<unsigned long long>(balance::StableHash(bytes)));
  return text;
}

absl::StatusOr<SavedState> StateFromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return absl::InvalidArgumentError("it is not a JSON object");
  const auto revision = json.find("revision");
  const auto overlay = json.find("overlay");
  const auto base = json.find("base");
  const auto hash = json.find("file_hash");
  if (revision == json.end() || !revision->is_number_unsigned() || overlay == json.end() ||
      base == json.end() || !(base->is_null() || base->is_string()) || hash == json.end() ||
      !hash->is_string()) {
    return absl::InvalidArgumentError("a field is missing or wrong");
  }
  absl::StatusOr<Overlay> laid = OverlayFromJson(overlay->dump());
  if (!laid.ok()) return laid.status();
  SavedState state;
  state.revision = revision->get<uint64_t>();
  state.overlay = *std::move(laid);
  if (base->is_string()) state.base_text = base->get<std::string>();
  state.file_hash = hash->get<std::string>();
  return state;
}

}  // namespace

std::unique_ptr<FileSystem> MakeFileSystem() { return std::make_unique<RealFileSystem>(); }

std::string EncodeState(const SavedState& state) {
  std::string rest;
  JsonWriter json(rest);
  json.BeginObject();
  json.Key("revision").Number(state.revision);
  json.Key("overlay").Raw(OverlayToJson(state.overlay, config::Secrets::kShown));
  json.Key("base");
  if (state.base_text) {
    json.Text(*state.base_text);
  } else {
    json.Null();
  }
  json.Key("file_hash").Text(state.file_hash);
  json.EndObject();
  rest += '\n';
  std::string text(kMagic);
  text += std::to_string(kVersion) + ' ' + HashText(rest) + '\n';
  return text + rest;
}

absl::StatusOr<SavedState> DecodeState(std::string_view bytes) {
  if (bytes.empty()) return absl::DataLossError("it is empty");
  if (!bytes.starts_with(kMagic)) {
    // The beginning of our own first line is all that a torn write may leave.
    if (kMagic.starts_with(bytes)) return absl::DataLossError("it is cut off");
    return absl::InvalidArgumentError("it is not a state file of Rondo");
  }
  bytes.remove_prefix(kMagic.size());
  const size_t line_end = bytes.find('\n');
  const size_t space = bytes.substr(0, line_end).find(' ');
  if (line_end == std::string_view::npos || space == std::string_view::npos) {
    return absl::DataLossError("it is cut off");
  }
  const std::string_view version_text = bytes.substr(0, space);
  uint64_t version = 0;
  const auto parsed =
      std::from_chars(version_text.data(), version_text.data() + version_text.size(), version);
  if (parsed.ec != std::errc() || parsed.ptr != version_text.data() + version_text.size() ||
      version == 0) {
    return absl::InvalidArgumentError("it is not a state file of Rondo");
  }
  if (version > kVersion) {
    return absl::UnimplementedError("it was written by a newer version of Rondo (format " +
                                    std::to_string(version) + ")");
  }
  const std::string_view hash = bytes.substr(space + 1, line_end - space - 1);
  const std::string_view rest = bytes.substr(line_end + 1);
  if (hash != HashText(rest)) return absl::DataLossError("it is cut off or damaged");
  return StateFromJson(rest);
}

absl::StatusOr<StateStore::Loaded> StateStore::Load() {
  Loaded loaded;
  if (!persistent()) return loaded;
  const absl::StatusOr<std::string> bytes = files_.Read(path_);
  if (!bytes.ok() && bytes.status().code() == absl::StatusCode::kNotFound) return loaded;
  // A file that is there and cannot be read may be readable tomorrow: nothing is set aside.
  if (!bytes.ok()) return bytes.status();
  absl::StatusOr<SavedState> state = DecodeState(*bytes);
  if (state.ok()) {
    loaded.found = true;
    loaded.state = *std::move(state);
    return loaded;
  }
  loaded.problem = std::string(state.status().message());
  absl::StatusOr<std::string> kept_as = SetAside();
  if (!kept_as.ok()) return kept_as.status();
  loaded.kept_as = *std::move(kept_as);
  return loaded;
}

std::string StateStore::FreeName() const {
  int number = 1;
  while (files_.Exists(path_ + ".bad-" + std::to_string(number))) ++number;
  return path_ + ".bad-" + std::to_string(number);
}

absl::StatusOr<std::string> StateStore::SetAside() {
  std::string kept_as = FreeName();
  if (absl::Status opened = files_.OpenDirectoryOf(path_); !opened.ok()) return opened;
  if (absl::Status renamed = files_.Rename(path_, kept_as); !renamed.ok()) return renamed;
  if (absl::Status synced = files_.SyncDirectoryOf(path_); !synced.ok()) return synced;
  return kept_as;
}

absl::StatusOr<std::string> StateStore::KeepAside(std::string_view text) {
  if (!persistent()) return absl::UnavailableError("there is no state file");
  std::string kept_as = FreeName();
  if (absl::Status opened = files_.OpenDirectoryOf(path_); !opened.ok()) return opened;
  if (absl::Status written = files_.WriteAndSync(kept_as, text); !written.ok()) return written;
  if (absl::Status synced = files_.SyncDirectoryOf(path_); !synced.ok()) return synced;
  return kept_as;
}

std::string StateStore::HashOf(std::string_view text) { return HashText(text); }

absl::Status StateStore::Save(const SavedState& state) {
  if (!persistent()) return absl::OkStatus();
  const std::string beside = path_ + ".new";
  if (absl::Status opened = files_.OpenDirectoryOf(path_); !opened.ok()) return opened;
  if (absl::Status written = files_.WriteAndSync(beside, EncodeState(state)); !written.ok())
    return written;
  if (absl::Status renamed = files_.Rename(beside, path_); !renamed.ok()) return renamed;
  return files_.SyncDirectoryOf(path_);
}

}  // namespace rondo::control
