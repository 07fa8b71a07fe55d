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

#include "http2/wire.h"
#include "proxy/edge_peer.h"
#include "rondo/http2/types.h"

namespace rondo::proxy::testing {

class Http2Peer {
 public:
  using Fields = http2::wire::Fields;
  using enum http2::wire::Type;
  static constexpr uint8_t kEnd = http2::wire::kEndStream;  // also ACK
  static constexpr uint8_t kWhole = http2::wire::kEndHeaders;

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
  static std::string Frame(http2::wire::Type type, uint8_t flags, uint32_t stream,
                           std::string_view payload = {}) {
    return http2::wire::Frame(type, flags, stream, payload);
  }
  static std::string Number(uint32_t value) { return http2::wire::Number(value, 4); }
  static std::string Preface() { return http2::wire::kHello + http2::wire::Settings(); }
  static std::string Block(const Fields& fields) { return http2::wire::Block(fields); }
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
  void Reset(uint32_t stream) { Send(http2::wire::RstStream(stream, http2::ErrorCode::kCancel)); }

  std::map<uint32_t, Answer> answers;
  std::vector<std::pair<uint32_t, uint32_t>> goaways;  // last stream, code
  bool settings = false;
  bool acknowledges = true;  // PINGs are answered, windows are opened

 private:
  void Read() {
    for (const http2::wire::Seen& frame : http2::wire::TakeFrames(input_)) Take(frame);
  }
  void Take(const http2::wire::Seen& frame) {
    switch (static_cast<http2::wire::Type>(frame.type)) {
      case kSettings:
        if (frame.flags & kEnd) return;
        settings = true;
        if (acknowledges) Send(http2::wire::SettingsAck());
        return;
      case kPing:
        if (!(frame.flags & kEnd) && acknowledges) Send(http2::wire::Ping(frame.payload, kEnd));
        return;
      case kGoaway:
        goaways.emplace_back(frame.number(), frame.number(4));
        return;
      case kRstStream:
        answers[frame.stream].reset = static_cast<int>(frame.number());
        return;
      case kHeaders:
      case kContinuation:
        block_ += frame.payload;
        if (frame.flags & kWhole) Inflate(answers[frame.stream]);
        if (frame.type == kHeaders && frame.ends()) answers[frame.stream].ended = true;
        return;
      case kData:
        answers[frame.stream].body += frame.payload;
        answers[frame.stream].ended |= frame.ends();
        if (!frame.payload.empty() && acknowledges) {
          const auto size = static_cast<uint32_t>(frame.payload.size());
          Send(http2::wire::WindowUpdate(0, size));
          if (!frame.ends()) Send(http2::wire::WindowUpdate(frame.stream, size));
        }
        return;
      case kPriority:
      case kPushPromise:
      case kWindowUpdate:
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
