// Files as they are met: missing, unreadable, no file at all.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/parse_helpers.h"

namespace rondo::config {
namespace {

class FileTest : public testing::Test {
 protected:
  FileTest() {
    std::string pattern = testing::TempDir() + "/rondo_config_XXXXXX";
    folder_ = std::filesystem::canonical(mkdtemp(pattern.data())).string();
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }

  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name), std::ios::binary) << text;
    return Path(name);
  }
  static std::string OnlyError(const std::string& path) {
    const LoadResult result = LoadFile(path);
    EXPECT_FALSE(result.config.has_value());
    return result.errors.size() == 1 ? FormatError("f", result.errors[0]) : "not one error";
  }

  std::string folder_;
};

TEST_F(FileTest, IsReadAndItsRelativePathsStartFromItsFolder) {
  const std::string path =
      Write("a.yaml",
            "listeners: {w: {listen: [unix:./w.sock], routes: [{respond: {}}]}}\n"
            "logging: {access: {path: ./access.log}}\nprocess: {pid_file: ../rondo.pid}\n");
  const LoadResult result = LoadFile(path);
  ASSERT_TRUE(result.config.has_value()) << FormatError(path, result.errors.at(0));
  EXPECT_EQ(result.config->logging.access.path, Path("access.log"));
  EXPECT_EQ(result.config->process.pid_file, Path("../rondo.pid"));
  EXPECT_EQ(result.config->listeners[0].listen[0].path, Path("w.sock"));
}

TEST_F(FileTest, HasAbsolutePathsHoweverItIsNamed) {
  Write("a.yaml",
        "listeners: {w: {listen: [unix:w.sock], routes: [{respond: {}}]}}\n"
        "process: {state_file: state.json}\n");
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_);
  const LoadResult result = LoadFile("a.yaml");
  std::filesystem::current_path(before);
  ASSERT_TRUE(result.config.has_value());
  EXPECT_EQ(result.config->process.state_file, Path("state.json"));
  EXPECT_EQ(result.config->listeners[0].listen[0].path, Path("w.sock"));
}

TEST_F(FileTest, UsesTheProcessEnvironment) {
  setenv("RONDO_CONFIG_FILE_TEST", "hello", 1);
  const LoadResult result = LoadFile(Write("a.yaml",
                                           "listeners: {w: {listen: [':80'], routes: [{respond: "
                                           "{body: \"${RONDO_CONFIG_FILE_TEST}\"}}]}}"));
  ASSERT_TRUE(result.config.has_value());
  EXPECT_EQ(result.config->listeners[0].routes[0].respond->body, "hello");
  unsetenv("RONDO_CONFIG_FILE_TEST");
}

TEST_F(FileTest, MayBeMissingOrUnreadable) {
  EXPECT_EQ(OnlyError(Path("none.yaml")), "f: cannot be opened: No such file or directory");
  EXPECT_EQ(OnlyError(Path("none/a.yaml")), "f: cannot be opened: No such file or directory");
  EXPECT_EQ(OnlyError(""), "f: cannot be opened: No such file or directory");
  const std::string path = Write("a.yaml", "a: b\n");
  ASSERT_EQ(chmod(path.c_str(), 0), 0);
  if (geteuid() != 0) {
    EXPECT_EQ(OnlyError(path), "f: cannot be opened: Permission denied");
  }
}

TEST_F(FileTest, MayBeADirectoryOrNothingButBytes) {
  EXPECT_EQ(OnlyError(folder_), "f: is a directory: name the file in it");
  EXPECT_EQ(OnlyError(Write("empty.yaml", "")),
            "f: holds no configuration: it needs at least `listeners`, and `upstreams` for them");
  EXPECT_EQ(OnlyError("/proc/self/mem"), "f: cannot be read: Input/output error");
}

TEST_F(FileTest, MayBeFarTooLarge) {
  const std::string path = Write("a.yaml", "#");
  std::filesystem::resize_file(path, 100 * 1024 * 1024);
  const std::string message =
      "f: larger than 10MiB, so hardly a configuration: is it the right file?";
  EXPECT_EQ(OnlyError(path), message);
  // No size is known beforehand.
  EXPECT_EQ(OnlyError("/dev/zero"), message);
}

TEST_F(FileTest, MayBeAPipe) {
  // As a shell's <(command) gives it.
  int ends[2];
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  const std::string text = "listeners: {w: {listen: [':80'], routes: [{respond: {}}]}}\n";
  ASSERT_EQ(write(ends[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(ends[1]);
  const LoadResult result = LoadFile("/proc/self/fd/" + std::to_string(ends[0]));
  close(ends[0]);
  EXPECT_TRUE(result.config.has_value());
}

TEST_F(FileTest, ErrorsKeepTheirPlaces) {
  EXPECT_EQ(OnlyError(Write(
                "a.yaml",
                "# one\nlisteners: {w: {listen: [':80'], routes: [{respond: {}}]}}\nfoo-bar: 1\n")),
            "f:3:1: unknown key `foo-bar`; known here: `process`, `logging`, `listeners`, "
            "`upstreams`, `admin`, "
            "`resolver`, `timeouts` and `limits`");
}

}  // namespace
}  // namespace rondo::config
