// The mode h2c-origin: a backend that speaks HTTP/2 without TLS and costs little, so that the
// core it shares with the load is not the bottleneck. It answers GET /bytes/N with N bytes, gRPC
// calls with their own message and status 0, and anything else with 404.
#include <nghttp2/nghttp2.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "load.h"

namespace rondo::load {
namespace {

constexpr uint32_t kStreamsMax = 256;
constexpr uint32_t kStreamWindow = 1 << 20;
constexpr int32_t kConnectionWindow = 4 << 20;
constexpr size_t kBytesMax = 64 << 20;

nghttp2_nv Field(std::string_view name, std::string_view value) {
  return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
          reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
          NGHTTP2_NV_FLAG_NO_COPY_NAME};
}

class Origin {
 public:
  explicit Origin(const Options& options) : options_(options), buffer_(64 * 1024) {}
  int Run();

 private:
  struct Stream {
    std::string body;  // grpc: what came, which goes back
    size_t left = 0;   // of the answer
    size_t at = 0;     // in `body`
    bool grpc = false;
    bool found = false;
  };
  struct Connection {
    Origin* origin = nullptr;
    int fd = -1;
    nghttp2_session* session = nullptr;
    bool full = false;  // waits for EPOLLOUT
    std::vector<char> out;
    size_t out_at = 0;
  };

  static int OnBeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* user);
  static int OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t, void*);
  static int OnData(nghttp2_session* session, uint8_t, int32_t stream, const uint8_t* data,
                    size_t size, void*);
  static int OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* user);
  static int OnClosed(nghttp2_session* session, int32_t stream, uint32_t, void* user);
  static ssize_t ReadBody(nghttp2_session* session, int32_t id, uint8_t* out, size_t room,
                          uint32_t* flags, nghttp2_data_source* source, void*);
  static Stream* Of(nghttp2_session* session, int32_t stream) {
    return static_cast<Stream*>(nghttp2_session_get_stream_user_data(session, stream));
  }

  bool Listen();
  void Accept();
  void Answer(nghttp2_session* session, int32_t id, Stream& stream);
  void Go(Connection& connection, uint32_t events);
  bool Flush(Connection& connection);
  void Close(Connection& connection);
  Stream* NewStream();

  const Options& options_;
  nghttp2_session_callbacks* callbacks_ = nullptr;
  nghttp2_option* option_ = nullptr;
  std::vector<char> buffer_;
  std::vector<Stream*> spare_;
  std::vector<Connection*> connections_;  // by descriptor
  int listener_ = -1;
  int epoll_ = -1;
};

Origin::Stream* Origin::NewStream() {
  if (spare_.empty()) return new Stream;
  Stream* stream = spare_.back();
  spare_.pop_back();
  stream->body.clear();
  stream->left = stream->at = 0;
  stream->grpc = stream->found = false;
  return stream;
}

int Origin::OnBeginHeaders(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
  if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) return 0;
  Stream* stream = static_cast<Connection*>(user)->origin->NewStream();
  nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
  return 0;
}

int Origin::OnHeader(nghttp2_session* session, const nghttp2_frame* frame, const uint8_t* name,
                     size_t name_size, const uint8_t* value, size_t value_size, uint8_t, void*) {
  Stream* stream = Of(session, frame->hd.stream_id);
  if (stream == nullptr) return 0;
  const std::string_view key(reinterpret_cast<const char*>(name), name_size);
  const std::string_view text(reinterpret_cast<const char*>(value), value_size);
  if (key == ":path" && text.starts_with("/bytes/")) {
    stream->found = true;
    for (const char digit : text.substr(7))
      stream->left = stream->left * 10 + static_cast<size_t>(digit - '0');
    stream->left = std::min(stream->left, kBytesMax);
  }
  if (key == "content-type" && text.starts_with("application/grpc")) stream->grpc = true;
  return 0;
}

int Origin::OnData(nghttp2_session* session, uint8_t, int32_t id, const uint8_t* data, size_t size,
                   void*) {
  Stream* stream = Of(session, id);
  if (stream != nullptr && stream->grpc)
    stream->body.append(reinterpret_cast<const char*>(data), size);
  return 0;
}

int Origin::OnFrame(nghttp2_session* session, const nghttp2_frame* frame, void* user) {
  const bool ends = (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) &&
                    (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
  if (!ends) return 0;
  Stream* stream = Of(session, frame->hd.stream_id);
  if (stream != nullptr)
    static_cast<Connection*>(user)->origin->Answer(session, frame->hd.stream_id, *stream);
  return 0;
}

int Origin::OnClosed(nghttp2_session* session, int32_t id, uint32_t, void* user) {
  Stream* stream = Of(session, id);
  if (stream != nullptr) static_cast<Connection*>(user)->origin->spare_.push_back(stream);
  return 0;
}

void Origin::Answer(nghttp2_session* session, int32_t id, Stream& stream) {
  if (!stream.grpc && !stream.found) {
    const nghttp2_nv fields[] = {Field(":status", "404"), Field("content-length", "0")};
    nghttp2_submit_response(session, id, fields, 2, nullptr);
    return;
  }
  nghttp2_data_provider provider{};
  provider.source.ptr = &stream;
  provider.read_callback = &ReadBody;
  if (stream.grpc) {
    stream.left = stream.body.size();
    const nghttp2_nv fields[] = {Field(":status", "200"),
                                 Field("content-type", "application/grpc")};
    nghttp2_submit_response(session, id, fields, 2, &provider);
    return;
  }
  const std::string length = std::to_string(stream.left);
  const nghttp2_nv fields[] = {Field(":status", "200"),
                               Field("content-type", "application/octet-stream"),
                               Field("content-length", length), Field("x-backend", "h2c-origin")};
  nghttp2_submit_response(session, id, fields, 4, stream.left > 0 ? &provider : nullptr);
}

ssize_t Origin::ReadBody(nghttp2_session* session, int32_t id, uint8_t* out, size_t room,
                         uint32_t* flags, nghttp2_data_source* source, void*) {
  auto* stream = static_cast<Stream*>(source->ptr);
  const size_t size = std::min(room, stream->left);
  if (stream->grpc) {
    std::memcpy(out, stream->body.data() + stream->at, size);
  } else {
    std::memset(out, 'x', size);
  }
  stream->at += size;
  stream->left -= size;
  if (stream->left > 0) return static_cast<ssize_t>(size);
  *flags |= NGHTTP2_DATA_FLAG_EOF;
  if (stream->grpc) {
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const nghttp2_nv trailer = Field("grpc-status", "0");
    nghttp2_submit_trailer(session, id, &trailer, 1);
  }
  return static_cast<ssize_t>(size);
}

bool Origin::Listen() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  return bind(listener_, reinterpret_cast<const sockaddr*>(&options_.target),
              sizeof options_.target) == 0 &&
         listen(listener_, 4096) == 0;
}

void Origin::Accept() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    NoDelay(fd);
    auto* connection = new Connection;
    connection->origin = this;
    connection->fd = fd;
    nghttp2_session_server_new2(&connection->session, callbacks_, connection, option_);
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, kStreamsMax},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, kStreamWindow}};
    nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 2);
    nghttp2_session_set_local_window_size(connection->session, NGHTTP2_FLAG_NONE, 0,
                                          kConnectionWindow);
    const auto number = static_cast<size_t>(fd);
    if (connections_.size() <= number) connections_.resize(number + 1);
    connections_[number] = connection;
    AddToEpoll(epoll_, fd, EPOLLIN, static_cast<uint32_t>(fd));
  }
}

int Origin::Run() {
  if (!Listen()) {
    std::perror("h2c-origin: cannot listen");
    return 1;
  }
  nghttp2_session_callbacks_new(&callbacks_);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks_, &OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(callbacks_, &OnHeader);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks_, &OnData);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks_, &OnFrame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks_, &OnClosed);
  nghttp2_option_new(&option_);
  nghttp2_option_set_no_closed_streams(option_, 1);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  AddToEpoll(epoll_, listener_, EPOLLIN, static_cast<uint32_t>(listener_));
  epoll_event events[256];
  for (;;) {
    const int count = epoll_wait(epoll_, events, 256, -1);
    for (int i = 0; i < count; ++i) {
      const uint32_t fd = events[i].data.u32;
      if (fd == static_cast<uint32_t>(listener_)) {
        Accept();
      } else if (connections_[fd] != nullptr) {
        Go(*connections_[fd], events[i].events);
      }
    }
  }
}

void Origin::Go(Connection& connection, uint32_t events) {
  bool good = true;
  if ((events & ~EPOLLOUT) != 0) {
    const ssize_t size = recv(connection.fd, buffer_.data(), buffer_.size(), 0);
    good = size > 0 || (size < 0 && errno == EAGAIN);
    if (size > 0) {
      good =
          nghttp2_session_mem_recv(connection.session, reinterpret_cast<uint8_t*>(buffer_.data()),
                                   static_cast<size_t>(size)) >= 0;
    }
  }
  if (!good || !Flush(connection)) Close(connection);
}

// False where the connection is over.
bool Origin::Flush(Connection& connection) {
  constexpr size_t kEnough = 64 * 1024;
  std::vector<char>& out = connection.out;
  bool more = true;
  bool full = false;
  while (!full && (more || connection.out_at < out.size())) {
    if (connection.out_at == out.size()) {
      out.clear();
      connection.out_at = 0;
    }
    while (more && out.size() < kEnough) {
      const uint8_t* data = nullptr;
      const ssize_t size = nghttp2_session_mem_send(connection.session, &data);
      if (size < 0) return false;
      more = size > 0;
      out.insert(out.end(), data, data + size);
    }
    if (connection.out_at == out.size()) break;
    const ssize_t sent = send(connection.fd, out.data() + connection.out_at,
                              out.size() - connection.out_at, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return false;
    full = sent < 0;
    if (sent > 0) connection.out_at += static_cast<size_t>(sent);
  }
  if (full != connection.full) {
    ChangeInEpoll(epoll_, connection.fd, full ? EPOLLIN | EPOLLOUT : EPOLLIN,
                  static_cast<uint32_t>(connection.fd));
    connection.full = full;
  }
  return full || nghttp2_session_want_read(connection.session) != 0;
}

void Origin::Close(Connection& connection) {
  // Streams that are open here are lost with it; a bench has few of them.
  nghttp2_session_del(connection.session);
  close(connection.fd);
  connections_[static_cast<size_t>(connection.fd)] = nullptr;
  delete &connection;
}

}  // namespace

int RunH2cOrigin(const Options& options) { return Origin(options).Run(); }

}  // namespace rondo::load
