#include "app/ctl_tls.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

namespace rondo::app {
namespace {

std::string Chosen(const std::string& argument, const char* variable) {
  if (!argument.empty()) return argument;
  const char* value = std::getenv(variable);
  return value == nullptr ? std::string() : std::string(value);
}

bool ReadFile(const std::string& path, std::string& text, std::string& problem) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  text.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  if (file.is_open() && !file.bad()) return true;
  problem = path + ": " + (errno == 0 ? "cannot be read" : std::strerror(errno));
  return false;
}

}  // namespace

bool SetUpCtlTls(const CtlArguments& arguments, CtlClient& client, std::string& problem) {
  if (!client.address().tls) return true;
  tls::ClientSettings settings;
  const std::string ca = Chosen(arguments.ca, "RONDO_ADMIN_CA");
  if (!ca.empty()) {
    if (!ReadFile(ca, settings.ca, problem)) return false;
    if (const auto count = tls::CheckAuthorities(settings.ca); !count.ok()) {
      problem = ca + ": " + std::string(count.status().message());
      return false;
    }
  }
  const std::string cert = Chosen(arguments.cert, "RONDO_ADMIN_CERT");
  const std::string key = Chosen(arguments.key, "RONDO_ADMIN_KEY");
  if (cert.empty() != key.empty()) {
    problem = "a certificate needs its key, and the other way round: --cert and --key";
    return false;
  }
  if (!cert.empty()) {
    std::string chain;
    std::string secret;
    if (!ReadFile(cert, chain, problem) || !ReadFile(key, secret, problem)) return false;
    auto pair = tls::KeyPair::Parse(chain, secret);
    if (!pair.ok()) {
      problem = cert + " with " + key + ": " + std::string(pair.status().message());
      return false;
    }
    settings.certificate = *std::move(pair);
  }
  auto setup = tls::ClientSetup::Make(settings, 0);
  if (!setup.ok()) {
    problem = std::string(setup.status().message());
    return false;
  }
  client.UseTls(*std::move(setup));
  return true;
}

}  // namespace rondo::app
