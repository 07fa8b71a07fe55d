// A client's end of an HTTP/2 connection for tests: frames made by hand go out over an EdgePeer,
// what comes back is taken apart, and headers are read by nghttp2's own decompressor.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "proxy/edge_peer.h"
#include "rondo/http2/types.h"

namespace rondo::proxy::testing {

class Http2Peer {
 public:
  using Fields = std::vector<std::pair<std::string, std::string>>;
  enum Type : uint8_t {
    kData,
    kHeaders,
    kPriority,
    kReset,
    kSettings,
    kPush,
    kPing,
    kGoaway,
    kWindow,
    kContinuation
  };
  static constexpr uint8_t kEnd = 1;    // END_STREAM, ACK
  static constexpr uint8_t kWhole = 4;  // END_HEADERS

  // What has come on a stream.
  struct Answer {
    Fields head;
    std::string body;
    Fields trailers;
    bool ended = false;
    int reset = -1;
    std::string Field(std::string_view name) const {
      for (const auto& [key, value] : head) {
        if (key == name) return value;
      }
      return {};
    }
  };

  explicit Http2Peer(EdgePeer& peer) : peer_(peer) {
    nghttp2_hd_inflate_new(&inflater_);
    peer.on_bytes = [this](EdgePeer& of) {
      input_ += std::exchange(of.received, {});
      Read();
    };
  }
  Http2Peer(const Http2Peer&) = delete;
  ~Http2Peer() {
    peer_.on_bytes = {};
    nghttp2_hd_inflate_del(inflater_);
  }

  EdgePeer& peer() { return peer_; }
  static std::string Frame(Type type, uint8_t flags, uint32_t stream,
                           std::string_view payload = {}) {
    std::string out = Number(static_cast<uint32_t>(payload.size())).substr(1);
    out += static_cast<char>(type);
    out += static_cast<char>(flags);
    return out + Number(stream) + std::string(payload);
  }
  static std::string Number(uint32_t value) {
    std::string out;
    for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
    return out;
  }
  static std::string Preface() { return std::string(http2::kPreface) + Frame(kSettings, 0, 0); }
  // Fields of at most 126 bytes, that nobody's table remembers.
  static std::string Block(const Fields& fields) {
    std::string out;
    for (const auto& [name, value] : fields) {
      out += '\0';
      for (const std::string& text : {name, value}) out += static_cast<char>(text.size()) + text;
    }
    return out;
  }
  static Fields Get(const std::string& path = "/") {
    return {{":method", "GET"}, {":scheme", "http"}, {":path", path}, {":authority", "edge.test"}};
  }
  static Fields Post(const std::string& path = "/") {
    Fields fields = Get(path);
    fields[0].second = "POST";
    return fields;
  }

  void Send(const std::string& bytes) { peer_.Send(bytes); }
  void Begin() { Send(Preface()); }
  // A request's head; returns its stream.
  uint32_t Open(const Fields& fields, bool end = true) {
    const uint32_t stream = std::exchange(next_, next_ + 2);
    Send(Frame(kHeaders, static_cast<uint8_t>(kWhole | (end ? kEnd : 0)), stream, Block(fields)));
    return stream;
  }
  void Data(uint32_t stream, std::string_view bytes, bool end) {
    Send(Frame(kData, end ? kEnd : 0, stream, bytes));
  }
  void Reset(uint32_t stream) { Send(Frame(kReset, 0, stream, Number(8))); }

  std::map<uint32_t, Answer> answers;
  std::vector<std::pair<uint32_t, uint32_t>> goaways;  // last stream, code
  bool settings = false;
  bool acknowledges = true;  // PINGs are answered, windows are opened

 private:
  static uint32_t Read32(std::string_view bytes) {
    uint32_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
    return value;
  }
  void Read() {
    while (input_.size() >= 9) {
      const size_t size = Read32(std::string(1, '\0') + input_.substr(0, 3));
      if (input_.size() < 9 + size) return;
      const auto type = static_cast<Type>(input_[3]);
      const auto flags = static_cast<uint8_t>(input_[4]);
      const uint32_t stream = Read32(std::string_view(input_).substr(5, 4));
      const std::string payload = input_.substr(9, size);
      input_.erase(0, 9 + size);
      Take(type, flags, stream, payload);
    }
  }
  void Take(Type type, uint8_t flags, uint32_t stream, const std::string& payload) {
    switch (type) {
      case kSettings:
        if (flags & kEnd) return;
        settings = true;
        if (acknowledges) Send(Frame(kSettings, kEnd, 0));
        return;
      case kPing:
        if (!(flags & kEnd) && acknowledges) Send(Frame(kPing, kEnd, 0, payload));
        return;
      case kGoaway:
        goaways.emplace_back(Read32(payload), Read32(std::string_view(payload).substr(4)));
        return;
      case kReset:
        answers[stream].reset = static_cast<int>(Read32(payload));
        return;
      case kHeaders:
      case kContinuation:
        block_ += payload;
        if (flags & kWhole) Inflate(answers[stream]);
        if (type == kHeaders && (flags & kEnd)) answers[stream].ended = true;
        return;
      case kData:
        answers[stream].body += payload;
        answers[stream].ended |= (flags & kEnd) != 0;
        if (!payload.empty() && acknowledges) {
          const std::string more = Number(static_cast<uint32_t>(payload.size()));
          Send(Frame(kWindow, 0, 0, more));
          if (!(flags & kEnd)) Send(Frame(kWindow, 0, stream, more));
        }
        return;
      case kPriority:
      case kPush:
      case kWindow:
        return;
    }
  }
  void Inflate(Answer& answer) {
    const std::string block = std::exchange(block_, {});
    Fields fields;
    const auto* at = reinterpret_cast<const uint8_t*>(block.data());
    size_t left = block.size();
    for (;;) {
      nghttp2_nv field;
      int flags = 0;
      const ssize_t taken = nghttp2_hd_inflate_hd2(inflater_, &field, &flags, at, left, 1);
      ASSERT_GE(taken, 0);
      at += taken;
      left -= static_cast<size_t>(taken);
      if (flags & NGHTTP2_HD_INFLATE_EMIT) {
        fields.emplace_back(std::string(reinterpret_cast<char*>(field.name), field.namelen),
                            std::string(reinterpret_cast<char*>(field.value), field.valuelen));
      }
      if (flags & NGHTTP2_HD_INFLATE_FINAL) break;
      if (!(flags & NGHTTP2_HD_INFLATE_EMIT) && left == 0) break;
    }
    nghttp2_hd_inflate_end_headers(inflater_);
    (answer.head.empty() || answer.head[0].second.starts_with("1") ? answer.head
                                                                   : answer.trailers) = fields;
  }

  EdgePeer& peer_;
  nghttp2_hd_inflater* inflater_ = nullptr;
  std::string input_;
  std::string block_;
  uint32_t next_ = 1;
};

}  // namespace rondo::proxy::testing
