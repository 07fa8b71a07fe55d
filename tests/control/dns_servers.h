// Real DNS servers as children of a test: Debian's dnsmasq, and a scripted one for what dnsmasq
// does not do.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "rondo/base/address.h"
#include "rondo/io/engine.h"
#include "rondo/io/socket_address.h"

namespace rondo::control::testing {

// A folder that anybody may read (dnsmasq gives its rights away), gone at the end.
class Folder {
 public:
  Folder() {
    std::string folder = ::testing::TempDir() + "rondo_dns_XXXXXX";
    path_ = mkdtemp(folder.data());
    chmod(path_.c_str(), 0755);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  // In one step, so that nobody reads half of it.
  void Put(const std::string& name, const std::string& text) const {
    std::ofstream(Path(name + ".new")) << text;
    std::filesystem::rename(Path(name + ".new"), Path(name));
  }
  std::string Get(const std::string& name) const {
    std::ifstream file(Path(name));
    return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }

 private:
  std::string path_;
};

class Child {
 public:
  // Its stdout and stderr are read here.
  explicit Child(std::vector<std::string> command) {
    int ends[2] = {-1, -1};
    if (pipe2(ends, O_CLOEXEC) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      dup2(ends[1], STDOUT_FILENO);
      dup2(ends[1], STDERR_FILENO);
      std::vector<char*> arguments;
      for (std::string& each : command) arguments.push_back(each.data());
      arguments.push_back(nullptr);
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    close(ends[1]);
    output_ = fdopen(ends[0], "r");
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    Signal(SIGKILL);
    waitpid(pid_, nullptr, 0);
    if (output_ != nullptr) std::fclose(output_);
  }
  void Signal(int signal) const { kill(pid_, signal); }
  // The first line with `text` in it; what was said instead where it ends before.
  std::string WaitFor(const std::string& text) {
    std::string said;
    char line[1024];
    while (std::fgets(line, sizeof(line), output_) != nullptr) {
      if (std::string(line).find(text) != std::string::npos) return line;
      said += line;
    }
    ADD_FAILURE() << "ended before it said '" << text << "': " << said;
    return "";
  }

 private:
  pid_t pid_ = -1;
  std::FILE* output_ = nullptr;
};

// tests/e2e/dns_server.py, which says what a zone can hold.
class ScriptedDns {
 public:
  explicit ScriptedDns(const std::string& zone, const std::string& bind = "127.0.0.1")
      : zone_(Start(zone)),
        child_({"python3", "-B", Script(), folder_.Path("zone"), "--bind", bind}) {
    address.ip = *IpAddress::Parse(bind);
    address.port =
        static_cast<uint16_t>(std::atoi(child_.WaitFor("ready").substr(sizeof("ready")).c_str()));
  }
  void SetZone(const std::string& zone) { folder_.Put("zone", zone); }
  // "udp A api.test" for each question, a line each.
  std::string asked() const { return folder_.Get("zone.log"); }

  SocketAddress address;

 private:
  int Start(const std::string& zone) {
    folder_.Put("zone", zone);
    folder_.Put("zone.log", "");
    return 0;
  }
  static std::string Script() {
    return std::filesystem::path(__FILE__).parent_path().parent_path() / "e2e" / "dns_server.py";
  }
  Folder folder_;
  int zone_;
  Child child_;
};

// dnsmasq: `hosts` as in /etc/hosts, read again by Reload.
class Dnsmasq {
 public:
  explicit Dnsmasq(const std::string& hosts, const std::vector<std::string>& options = {})
      : port_(FreePort()), child_(Command(hosts, options)) {
    address.ip = IpAddress::V4(0x7f000001);
    address.port = port_;
    child_.WaitFor("started");
    child_.WaitFor("read ");
  }
  void Reload(const std::string& hosts) {
    folder_.Put("hosts", hosts);
    chmod(folder_.Path("hosts").c_str(), 0644);
    child_.Signal(SIGHUP);
    child_.WaitFor("read ");
  }

  SocketAddress address;

 private:
  // Free for datagrams and for connections, and outside of the range that the kernel gives to
  // clients: among so many tests one of those ports may be taken between here and the server's
  // start.
  static uint16_t FreePort() {
    static uint32_t tried = static_cast<uint32_t>(getpid()) * 31;
    for (int i = 0; i < 1000; ++i) {
      const auto port = static_cast<uint16_t>(20000 + tried++ % 12000);
      if (IsFree(port, SOCK_DGRAM) && IsFree(port, SOCK_STREAM)) return port;
    }
    ADD_FAILURE() << "no free port";
    return 0;
  }
  static bool IsFree(uint16_t port, int type) {
    const int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
    SocketAddress address;
    address.ip = IpAddress::V4(0x7f000001);
    address.port = port;
    const io::RawAddress raw = io::ToRawAddress(address);
    const bool is_free = bind(fd, &raw.any, raw.length) == 0;
    close(fd);
    return is_free;
  }
  std::vector<std::string> Command(const std::string& hosts,
                                   const std::vector<std::string>& options) {
    folder_.Put("hosts", hosts);
    chmod(folder_.Path("hosts").c_str(), 0644);
    std::vector<std::string> command = {"/usr/sbin/dnsmasq",
                                        "--conf-file=/dev/null",
                                        "--keep-in-foreground",
                                        "--log-facility=-",
                                        "--pid-file=",
                                        "--no-resolv",
                                        "--no-hosts",
                                        "--listen-address=127.0.0.1",
                                        "--bind-interfaces",
                                        "--local=/test/",
                                        "--addn-hosts=" + folder_.Path("hosts"),
                                        "--port=" + std::to_string(port_)};
    command.insert(command.end(), options.begin(), options.end());
    return command;
  }
  Folder folder_;
  uint16_t port_;
  Child child_;
};

}  // namespace rondo::control::testing
