// The modes over TLS: tls-connect (a connection and a handshake for each request) and tls-idle
// (connections that stand). Keepalive over TLS is wrk's.
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

#include "load.h"

namespace rondo::load {
namespace {

class TlsLoad {
 public:
  explicit TlsLoad(const Options& options);
  ~TlsLoad();
  int Run();

 private:
  struct Client {
    int fd = -1;
    SSL* ssl = nullptr;
    SSL_SESSION* session = nullptr;  // of the connection before, to resume with
    bool sent = false;
    bool answered = false;
    int64_t began = 0;
    ResponseReader reader;
  };

  static int OnSession(SSL* ssl, SSL_SESSION* session);
  void Open(uint32_t index);
  void Go(uint32_t index);
  bool Handshake(Client& client, uint32_t index);
  void Receive(uint32_t index);
  void Finish(uint32_t index, bool good);
  void Close(Client& client, bool hard);
  void Broken(uint32_t index, uint64_t* count);
  bool Wanted(const Client& client, int result) const;
  int64_t Turn(int64_t until);
  int Hold();

  const Options& options_;
  const bool idle_;
  std::string request_;
  SSL_CTX* context_;
  std::vector<Client> clients_;
  std::vector<char> buffer_;
  int epoll_ = -1;
  uint64_t opened_ = 0;
  uint64_t resumed_ = 0;
  size_t standing_ = 0;
  int64_t end_ = 0;
  Result result_;
};

TlsLoad::TlsLoad(const Options& options)
    : options_(options),
      idle_(options.mode == "tls-idle"),
      context_(SSL_CTX_new(TLS_client_method())) {
  request_ = "GET " + options.path + " HTTP/1.1\r\nHost: " + options.target_text +
             (idle_ ? "\r\n\r\n" : "\r\nConnection: close\r\n\r\n");
  SSL_CTX_set_verify(context_, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_mode(context_, SSL_MODE_RELEASE_BUFFERS);
  if (options.tls12) SSL_CTX_set_max_proto_version(context_, TLS1_2_VERSION);
  if (options.resume) {
    SSL_CTX_set_session_cache_mode(context_, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context_, &OnSession);
  }
  buffer_.resize(64 * 1024);
  clients_.resize(static_cast<size_t>(options.connections));
}

TlsLoad::~TlsLoad() {
  for (Client& client : clients_) {
    Close(client, true);
    SSL_SESSION_free(client.session);
  }
  SSL_CTX_free(context_);
}

// TLS 1.3 brings its ticket after the handshake: the latest one is kept for the next connection.
int TlsLoad::OnSession(SSL* ssl, SSL_SESSION* session) {
  auto* client = static_cast<Client*>(SSL_get_app_data(ssl));
  SSL_SESSION_free(client->session);
  client->session = session;
  return 1;
}

int TlsLoad::Run() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const int64_t start = Now();
  end_ = start + static_cast<int64_t>((idle_ ? 120 : options_.seconds) * 1e9);
  // Not all at once: who opens thousands of connections measures the backlog.
  for (uint32_t i = 0; i < clients_.size(); ++i) {
    Open(i);
    if (idle_ && i % 64 == 63) Turn(Now() + 20'000'000);
  }
  if (idle_) return Hold();
  int64_t now = start;
  while (now < end_) now = Turn(end_);
  result_.seconds = static_cast<double>(now - start) / 1e9;
  result_.resumed = resumed_;
  PrintResult(options_, result_);
  return result_.done > 0 ? 0 : 1;
}

int64_t TlsLoad::Turn(int64_t until) {
  epoll_event events[256];
  const int64_t left = until - Now();
  const int count =
      epoll_wait(epoll_, events, 256, left > 0 ? static_cast<int>(left / 1'000'000) + 1 : 0);
  for (int i = 0; i < count; ++i) {
    if (clients_[events[i].data.u32].fd >= 0) Go(events[i].data.u32);
  }
  for (uint32_t i = 0; count == 0 && !idle_ && i < clients_.size(); ++i) {
    if (clients_[i].fd < 0) Open(i);
  }
  return Now();
}

int TlsLoad::Hold() {
  while (standing_ + result_.errors() < clients_.size() && Now() < end_) Turn(Now() + 100'000'000);
  const bool go = AnnounceReady(options_, static_cast<int>(standing_));
  // Those that the proxy has closed meanwhile are lost.
  for (Client& client : clients_) {
    char byte = 0;
    if (client.fd >= 0 && recv(client.fd, &byte, 1, MSG_PEEK) == 0) ++result_.lost;
  }
  result_.done = standing_;
  result_.seconds = 1;
  PrintResult(options_, result_);
  return go ? 0 : 1;
}

void TlsLoad::Open(uint32_t index) {
  Client& client = clients_[index];
  client.fd = Connect(options_, opened_++);
  if (client.fd < 0) {
    client.fd = -1;
    ++result_.connect_errors;
    return;
  }
  client.ssl = SSL_new(context_);
  SSL_set_app_data(client.ssl, &client);
  SSL_set_fd(client.ssl, client.fd);
  SSL_set_connect_state(client.ssl);
  SSL_set_tlsext_host_name(client.ssl, "localhost");
  if (options_.resume && client.session != nullptr) SSL_set_session(client.ssl, client.session);
  client.sent = client.answered = false;
  client.reader.Reset();
  client.began = Now();
  AddToEpoll(epoll_, client.fd, EPOLLIN | EPOLLOUT | EPOLLET, index);
}

// Whether OpenSSL only waits for the socket.
bool TlsLoad::Wanted(const Client& client, int result) const {
  const int error = SSL_get_error(client.ssl, result);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool TlsLoad::Handshake(Client& client, uint32_t index) {
  if (SSL_is_init_finished(client.ssl)) return true;
  ERR_clear_error();
  const int result = SSL_do_handshake(client.ssl);
  if (result == 1) {
    if (SSL_session_reused(client.ssl)) ++resumed_;
    return true;
  }
  if (!Wanted(client, result)) Broken(index, &result_.connect_errors);
  return false;
}

void TlsLoad::Go(uint32_t index) {
  Client& client = clients_[index];
  if (!Handshake(client, index)) return;
  if (!client.sent) {
    ERR_clear_error();
    const int size = static_cast<int>(request_.size());
    const int result = SSL_write(client.ssl, request_.data(), size);
    if (result != size) {
      if (!Wanted(client, result)) Broken(index, &result_.closed);
      return;
    }
    client.sent = true;
  }
  Receive(index);
}

void TlsLoad::Receive(uint32_t index) {
  Client& client = clients_[index];
  for (;;) {
    ERR_clear_error();
    const int size = SSL_read(client.ssl, buffer_.data(), static_cast<int>(buffer_.size()));
    if (size <= 0) {
      if (!Wanted(client, size)) Broken(index, &result_.closed);
      return;
    }
    result_.bytes += static_cast<uint64_t>(size);
    switch (client.reader.Feed({buffer_.data(), static_cast<size_t>(size)})) {
      case ResponseReader::Step::kMore:
        break;
      case ResponseReader::Step::kDone:
        Finish(index, client.reader.status() == 200);
        return;
      case ResponseReader::Step::kBad:
        Broken(index, &result_.bad_answers);
        return;
    }
  }
}

void TlsLoad::Finish(uint32_t index, bool good) {
  Client& client = clients_[index];
  if (client.answered) return;
  client.answered = true;
  if (!good) {
    Broken(index, &result_.bad_answers);
    return;
  }
  if (idle_) {
    ++standing_;
    return;
  }
  ++result_.done;
  result_.latency.Add(Now() - client.began);
  SSL_shutdown(client.ssl);  // without it the session would not be good for resumption
  Close(client, false);
  if (Now() < end_) Open(index);
}

void TlsLoad::Close(Client& client, bool hard) {
  if (client.fd < 0) return;
  SSL_free(client.ssl);
  client.ssl = nullptr;
  if (hard) {
    CloseHard(client.fd);
  } else {
    close(client.fd);
  }
  client.fd = -1;
}

void TlsLoad::Broken(uint32_t index, uint64_t* count) {
  ++*count;
  Close(clients_[index], true);
  if (!idle_ && count != &result_.connect_errors && Now() < end_) Open(index);
}

}  // namespace

int RunTls(const Options& options) { return TlsLoad(options).Run(); }

}  // namespace rondo::load
