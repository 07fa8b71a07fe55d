// The modes over HTTP/2: h2 (GET), h2-upload (POST) and grpc (unary calls), each with a number of
// streams at once on each connection. A stream that ends makes room for the next at once.
#include <nghttp2/nghttp2.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "load.h"

namespace rondo::load {
namespace {

// What Chromium announces, so that flow control holds no answer of a bench up.
constexpr uint32_t kStreamWindow = 6 << 20;
constexpr int32_t kConnectionWindow = 15 << 20;
// A proxy that lets nothing through must end the run with errors, not hang it.
constexpr int64_t kStallNs = 10'000'000'000;

nghttp2_nv Field(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
}

double CpuSeconds() {
  rusage use{};
  getrusage(RUSAGE_SELF, &use);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(use.ru_utime) + seconds(use.ru_stime);
}

class Http2Load {
 public:
  explicit Http2Load(const Options& options);
  ~Http2Load();
  int Run();

 private:
  struct Request {
    int64_t began = 0;
    size_t sent = 0;      // of the body
    uint64_t bytes = 0;   // of the answer's body
    bool good = false;    // the status is 200
    bool called = false;  // grpc: the trailers say 0
  };
  struct Client {
    Http2Load* load = nullptr;
    int fd = -1;
    SSL* ssl = nullptr;
    nghttp2_session* session = nullptr;
    bool ready = false;  // connected, and the handshake is over
    bool full = false;   // the socket took no more: waits for EPOLLOUT
    std::vector<char> out;
    size_t out_at = 0;
    std::vector<Request> requests;
    std::vector<uint32_t> free;
  };

  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                      void* user);
  static int OnData(nghttp2_session*, uint8_t, int32_t stream, const uint8_t*, size_t size,
                    void* user);
  static int OnClosed(nghttp2_session*, int32_t stream, uint32_t code, void* user);
  static ssize_t ReadBody(nghttp2_session*, int32_t stream, uint8_t* out, size_t room,
                          uint32_t* flags, nghttp2_data_source*, void* user);
  static Request* Of(nghttp2_session* session, int32_t stream) {
    return static_cast<Request*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  void BuildRequest();
  void Open(uint32_t index);
  bool Establish(Client& client);
  void Submit(Client& client);
  void Go(Client& client, uint32_t events);
  bool Receive(Client& client);
  bool Flush(Client& client);
  ssize_t Write(Client& client, const char* data, size_t size);
  bool Wanted(Client& client, int result) const;
  void Finish(Client& client, Request& request, bool whole);
  void Broken(Client& client);

  const Options& options_;
  const bool grpc_;
  const bool upload_;
  std::vector<nghttp2_nv> fields_;
  std::string length_;
  std::string body_;
  uint64_t answer_bytes_ = 0;  // 0: anything
  nghttp2_session_callbacks* callbacks_ = nullptr;
  SSL_CTX* context_;
  std::vector<Client> clients_;
  std::vector<char> buffer_;
  int epoll_ = -1;
  uint64_t opened_ = 0;
  int64_t end_ = 0;
  int64_t now_ = 0;
  Result result_;
};

Http2Load::Http2Load(const Options& options)
    : options_(options),
      grpc_(options.mode == "grpc"),
      upload_(options.mode == "h2-upload"),
      context_(SSL_CTX_new(TLS_client_method())),
      clients_(static_cast<size_t>(options.connections)),
      buffer_(64 * 1024) {
  static const uint8_t kAlpn[] = {2, 'h', '2'};
  SSL_CTX_set_verify(context_, SSL_VERIFY_NONE, nullptr);
  SSL_CTX_set_alpn_protos(context_, kAlpn, sizeof kAlpn);
  // In the order of browsers, so that all servers come to the same cipher.
  SSL_CTX_set_ciphersuites(context_, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
  SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context_, 1);
  nghttp2_session_callbacks_new(&callbacks_);
  nghttp2_session_callbacks_set_on_header_callback(callbacks_, &OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks_, &OnData);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks_, &OnClosed);
  BuildRequest();
}

Http2Load::~Http2Load() {
  for (Client& client : clients_) {
    if (client.fd >= 0) Broken(client);
  }
  nghttp2_session_callbacks_del(callbacks_);
  SSL_CTX_free(context_);
}

void Http2Load::BuildRequest() {
  const bool posts = grpc_ || upload_;
  fields_ = {Field(":method", posts ? "POST" : "GET"),
             Field(":scheme", options_.tls ? "https" : "http"),
             Field(":authority", options_.target_text), Field(":path", options_.path)};
  if (grpc_) {
    const auto size = static_cast<size_t>(std::clamp(options_.payload_bytes, 1, 125));
    body_ = {0, 0, 0, 0, static_cast<char>(size)};
    body_.append(size, 'e');
    answer_bytes_ = body_.size();
    fields_.push_back(Field("te", "trailers"));
    fields_.push_back(Field("content-type", "application/grpc"));
    fields_.push_back(Field("user-agent", "rondo_load"));
  } else if (upload_) {
    body_.assign(static_cast<size_t>(options_.body_bytes), 'x');
    length_ = std::to_string(body_.size());
    fields_.push_back(Field("content-length", length_));
  } else if (options_.path.starts_with("/bytes/")) {
    answer_bytes_ = std::strtoull(options_.path.c_str() + 7, nullptr, 10);
  }
}

int Http2Load::OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                        size_t name_size, const uint8_t* value, size_t value_size, uint8_t, void*) {
  Request* request = Of(session, frame->hd.stream_id);
  if (request == nullptr) return 0;
  const std::string_view key(reinterpret_cast<const char*>(name), name_size);
  const std::string_view text(reinterpret_cast<const char*>(value), value_size);
  if (key == ":status") request->good = text == "200";
  if (key == "grpc-status") request->called = text == "0";
  return 0;
}

int Http2Load::OnData(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t*,
                      size_t size, void* user) {
  Request* request = Of(session, stream);
  if (request != nullptr) request->bytes += size;
  static_cast<Client*>(user)->load->result_.bytes += size;
  return 0;
}

int Http2Load::OnClosed(nghttp2_session* session, int32_t stream, uint32_t code, void* user) {
  auto* client = static_cast<Client*>(user);
  Request* request = Of(session, stream);
  if (request != nullptr) client->load->Finish(*client, *request, code == NGHTTP2_NO_ERROR);
  return 0;
}

ssize_t Http2Load::ReadBody(nghttp2_session* session, int32_t stream, uint8_t* out, size_t room,
                            uint32_t* flags, nghttp2_data_source*, void* user) {
  const std::string& body = static_cast<Client*>(user)->load->body_;
  Request* request = Of(session, stream);
  if (request == nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  const size_t size = std::min(room, body.size() - request->sent);
  std::memcpy(out, body.data() + request->sent, size);
  request->sent += size;
  if (request->sent == body.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return static_cast<ssize_t>(size);
}

void Http2Load::Finish(Client& client, Request& request, bool whole) {
  const bool right = request.good && (!grpc_ || request.called) &&
                     (answer_bytes_ == 0 || request.bytes == answer_bytes_);
  if (!whole) {
    ++result_.closed;
  } else if (!right) {
    ++result_.bad_answers;
  } else {
    ++result_.done;
    result_.latency.Add(now_ - request.began);
  }
  client.free.push_back(static_cast<uint32_t>(&request - client.requests.data()));
}

int Http2Load::Run() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const double cpu = CpuSeconds();
  const int64_t start = now_ = Now();
  end_ = start + static_cast<int64_t>(options_.seconds * 1e9);
  for (uint32_t i = 0; i < clients_.size(); ++i) Open(i);
  epoll_event events[256];
  int64_t progress = start;
  while (now_ < end_ && now_ - progress < kStallNs) {
    const int wait = static_cast<int>((end_ - now_) / 1'000'000) + 1;
    const int count = epoll_wait(epoll_, events, 256, std::min(wait, 100));
    now_ = Now();
    if (count > 0) progress = now_;
    for (int i = 0; i < count; ++i) {
      Client& client = clients_[events[i].data.u32];
      if (client.fd >= 0) Go(client, events[i].events);
    }
    for (uint32_t i = 0; count == 0 && i < clients_.size(); ++i) {
      if (clients_[i].fd < 0) Open(i);
    }
  }
  if (now_ < end_) ++result_.lost;
  result_.seconds = static_cast<double>(now_ - start) / 1e9;
  result_.cpu_seconds = CpuSeconds() - cpu;
  PrintResult(options_, result_);
  return result_.done > 0 ? 0 : 1;
}

void Http2Load::Open(uint32_t index) {
  Client& client = clients_[index];
  client.fd = Connect(options_, opened_++);
  if (client.fd < 0) {
    client.fd = -1;
    ++result_.connect_errors;
    return;
  }
  client.load = this;
  client.ready = client.full = false;
  client.out.clear();
  client.out_at = 0;
  client.requests.assign(static_cast<size_t>(options_.streams), {});
  client.free.clear();
  for (uint32_t i = 0; i < client.requests.size(); ++i) client.free.push_back(i);
  if (options_.tls) {
    client.ssl = SSL_new(context_);
    SSL_set_fd(client.ssl, client.fd);
    SSL_set_connect_state(client.ssl);
    SSL_set_tlsext_host_name(client.ssl, "localhost");
  }
  nghttp2_session_client_new(&client.session, callbacks_, &client);
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
                                             {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow}};
  nghttp2_submit_settings(client.session, NGHTTP2_FLAG_NONE, settings, 2);
  nghttp2_session_set_local_window_size(client.session, NGHTTP2_FLAG_NONE, 0, kConnectionWindow);
  AddToEpoll(epoll_, client.fd, EPOLLIN | EPOLLOUT, index);
}

// Whether OpenSSL only waits for the socket.
bool Http2Load::Wanted(Client& client, int result) const {
  const int error = SSL_get_error(client.ssl, result);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

// False where it failed.
bool Http2Load::Establish(Client& client) {
  if (client.ssl != nullptr) {
    ERR_clear_error();
    const int result = SSL_do_handshake(client.ssl);
    if (result != 1) {
      if (!Wanted(client, result)) return false;
      ChangeInEpoll(epoll_, client.fd, SSL_want_write(client.ssl) ? EPOLLOUT : EPOLLIN,
                    static_cast<uint32_t>(&client - clients_.data()));
      return true;
    }
    const uint8_t* protocol = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(client.ssl, &protocol, &size);
    if (size != 2 || std::memcmp(protocol, "h2", 2) != 0) return false;
  }
  client.ready = true;
  ChangeInEpoll(epoll_, client.fd, EPOLLIN, static_cast<uint32_t>(&client - clients_.data()));
  return true;
}

void Http2Load::Go(Client& client, uint32_t events) {
  if (!client.ready) {
    if ((events & (EPOLLERR | EPOLLHUP)) != 0 || !Establish(client)) {
      ++result_.connect_errors;
      Broken(client);
      return;
    }
    if (!client.ready) return;
  } else if ((events & ~EPOLLOUT) != 0 && !Receive(client)) {
    Broken(client);
    return;
  }
  Submit(client);
  if (!Flush(client)) Broken(client);
}

void Http2Load::Submit(Client& client) {
  nghttp2_data_provider provider{};
  provider.read_callback = &ReadBody;
  while (!client.free.empty() && nghttp2_session_check_request_allowed(client.session) != 0) {
    Request& request = client.requests[client.free.back()];
    request = {};
    request.began = now_;
    if (nghttp2_submit_request(client.session, nullptr, fields_.data(), fields_.size(),
                               body_.empty() ? nullptr : &provider, &request) < 0) {
      return;
    }
    client.free.pop_back();
  }
}

// False where the connection is over.
bool Http2Load::Receive(Client& client) {
  do {
    ssize_t size = 0;
    if (client.ssl != nullptr) {
      ERR_clear_error();
      size = SSL_read(client.ssl, buffer_.data(), static_cast<int>(buffer_.size()));
      if (size <= 0) return Wanted(client, static_cast<int>(size));
    } else {
      size = recv(client.fd, buffer_.data(), buffer_.size(), 0);
      if (size <= 0) return size < 0 && errno == EAGAIN;
    }
    if (nghttp2_session_mem_recv(client.session, reinterpret_cast<uint8_t*>(buffer_.data()),
                                 static_cast<size_t>(size)) < 0) {
      return false;
    }
  } while (client.ssl != nullptr && SSL_has_pending(client.ssl) != 0);
  return nghttp2_session_want_read(client.session) != 0;
}

ssize_t Http2Load::Write(Client& client, const char* data, size_t size) {
  if (client.ssl == nullptr) {
    const ssize_t sent = send(client.fd, data, size, MSG_NOSIGNAL);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
  }
  ERR_clear_error();
  const int sent = SSL_write(client.ssl, data, static_cast<int>(size));
  if (sent > 0) return sent;
  return Wanted(client, sent) ? 0 : -1;
}

// Sends all that the session has, as few records as may be. False where the connection is over.
bool Http2Load::Flush(Client& client) {
  constexpr size_t kEnough = 64 * 1024;
  bool more = true;
  while (more || client.out_at < client.out.size()) {
    if (client.out_at == client.out.size()) {
      client.out.clear();
      client.out_at = 0;
    }
    while (more && client.out.size() < kEnough) {
      const uint8_t* data = nullptr;
      const ssize_t size = nghttp2_session_mem_send(client.session, &data);
      if (size < 0) return false;
      more = size > 0;
      client.out.insert(client.out.end(), data, data + size);
    }
    if (client.out_at == client.out.size()) break;
    const ssize_t sent =
        Write(client, client.out.data() + client.out_at, client.out.size() - client.out_at);
    if (sent < 0) return false;
    client.out_at += static_cast<size_t>(sent);
    if (sent == 0) break;
  }
  const bool full = client.out_at < client.out.size();
  if (full != client.full) {
    ChangeInEpoll(epoll_, client.fd, full ? EPOLLIN | EPOLLOUT : EPOLLIN,
                  static_cast<uint32_t>(&client - clients_.data()));
    client.full = full;
  }
  return true;
}

// Every stream that is open counts as cut off, but at the end of the run.
void Http2Load::Broken(Client& client) {
  const bool again = client.ready && now_ < end_;
  if (again) result_.closed += client.requests.size() - client.free.size();
  nghttp2_session_del(client.session);
  client.session = nullptr;
  SSL_free(client.ssl);
  client.ssl = nullptr;
  CloseHard(client.fd);
  client.fd = -1;
  if (again) Open(static_cast<uint32_t>(&client - clients_.data()));
}

}  // namespace

int RunHttp2(const Options& options) { return Http2Load(options).Run(); }

}  // namespace rondo::load
