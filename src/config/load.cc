#include "rondo/config/load.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "config/build.h"
#include "config/text.h"
#include "config/yaml_tree.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

LoadResult Failed(std::string message) {
  LoadResult result;
  result.errors.push_back({.message = std::move(message)});
  return result;
}

std::string Reason(int error) { return std::generic_category().message(error); }

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

// Appends the file's content, at most one byte more than allowed; returns errno, 0 for success.
int ReadAll(int fd, std::string& text) {
  constexpr size_t kChunk = 64 * 1024;
  while (text.size() <= kFileBytesMax) {
    const size_t before = text.size();
    text.resize(before + kChunk);
    const ssize_t got = read(fd, text.data() + before, kChunk);
    const int error = errno;
    text.resize(before + static_cast<size_t>(got > 0 ? got : 0));
    if (got == 0) return 0;
    if (got < 0 && error != EINTR) return error;
  }
  return 0;
}

std::string TooLarge() {
  return Cat("larger than ", FormatSize(kFileBytesMax),
             ", so hardly a configuration: is it the right file?");
}

}  // namespace

Environment ProcessEnvironment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

LoadResult LoadFile(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (file.get() < 0) return Failed(Cat("cannot be opened: ", Reason(errno)));
  struct stat status{};
  if (fstat(file.get(), &status) != 0) return Failed(Cat("cannot be read: ", Reason(errno)));
  if (S_ISDIR(status.st_mode)) return Failed("is a directory: name the file in it");
  if (S_ISREG(status.st_mode) && status.st_size > static_cast<off_t>(kFileBytesMax))
    return Failed(TooLarge());
  std::string text;
  if (const int error = ReadAll(file.get(), text); error != 0) {
    return Failed(Cat("cannot be read: ", Reason(error)));
  }
  if (text.size() > kFileBytesMax) return Failed(TooLarge());
  // Paths in it become absolute with it: written again and read back they mean the same.
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::absolute(path, error);
  return Parse(text, error ? path : whole.string(), ProcessEnvironment());
}

namespace {

LoadResult ParseIn(Context& context, std::string_view text) {
  Tree tree = ParseYaml(text);
  LoadResult result;
  if (tree.syntax_error) {
    result.errors = std::move(tree.errors);
    return result;
  }
  if (tree.root == nullptr || tree.root->kind == Node::Kind::kNull) {
    return Failed(
        "holds no configuration: it needs at least `listeners`, and `upstreams` for them");
  }
  for (const Error& error : tree.errors) {
    context.AddError({.line = error.line, .col = error.col}, error.message);
  }
  if (tree.root->kind != Node::Kind::kMap) {
    context.AddError(tree.root->mark, "the file must be a map of keys, such as `listeners:`");
  } else {
    result.config = BuildConfig(Section(context, "", *tree.root, tree.root->mark));
  }
  result.errors = context.TakeErrors();
  result.variables = context.TakeVariables();
  if (!result.errors.empty()) result.config.reset();
  return result;
}

}  // namespace

LoadResult Parse(std::string_view text, const std::string& file_name,
                 const Environment& environment) {
  Context context(environment, file_name);
  return ParseIn(context, text);
}

LoadResult ParseSent(std::string_view text, const std::string& file_name,
                     const Environment& environment, const VariableNames& named) {
  Context context(environment, file_name);
  context.LimitVariables(named);
  return ParseIn(context, text);
}

std::string FormatError(std::string_view file_name, const Error& error) {
  if (error.line == 0) return Cat(file_name, ": ", error.message);
  return Cat(file_name, ":", error.line, ":", error.col, ": ", error.message);
}

}  // namespace rondo::config
