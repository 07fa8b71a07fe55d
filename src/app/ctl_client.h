// A small blocking HTTP/1.1 client for the admin API: one connection for each request.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/ctl_link.h"
#include "rondo/base/time.h"
#include "rondo/tls/client_setup.h"

namespace rondo::app {

// Where the admin API is.
struct CtlAddress {
  std::string host;  // a name or an address, without brackets; empty for a unix socket
  std::string port = "9900";
  std::string unix_path;
  bool tls = false;  // https

  // As people know it: "127.0.0.1:9900", "unix:/run/rondo.sock".
  std::string ToString() const;
};

// http://host:port, https://host:port, host:port, host, or unix:/path. Nothing, and a sentence in
// `problem`, for anything else.
std::optional<CtlAddress> ParseCtlAddress(std::string_view text, std::string& problem);

struct CtlRequest {
  std::string method = "GET";
  std::string target = "/";
  std::string body;  // JSON; empty: none
  std::string accept = "application/json";
  std::vector<std::pair<std::string, std::string>> fields;
  Duration timeout = std::chrono::seconds(30);  // between bytes
};

struct CtlResponse {
  int status = 0;
  std::string body;
};

class CtlClient {
 public:
  CtlClient(CtlAddress address, std::string token)
      : address_(std::move(address)), token_(std::move(token)) {}

  // For https, before anything is sent: whom to believe, and who we are.
  void UseTls(std::shared_ptr<const tls::ClientSetup> setup) { tls_ = std::move(setup); }
  // Nothing where no answer came; problem() then says why.
  std::optional<CtlResponse> Send(const CtlRequest& request);
  // The same, but a body with status 200 is given to `on_body` as it comes, until it returns false
  // or the stream ends.
  using OnBody = std::function<bool(std::string_view bytes)>;
  std::optional<CtlResponse> Stream(const CtlRequest& request, const OnBody& on_body);

  const std::string& problem() const { return problem_; }
  const CtlAddress& address() const { return address_; }

 private:
  std::unique_ptr<CtlLink> Open(Duration timeout);
  int Connect(Duration timeout);
  int ConnectTcp(Duration timeout);
  int ConnectUnix(Duration timeout);
  std::string Head(const CtlRequest& request) const;

  CtlAddress address_;
  std::string token_;
  std::shared_ptr<const tls::ClientSetup> tls_;
  std::string problem_;
};

}  // namespace rondo::app
