// A second opinion on HTTP/1: a small, strict, incremental reader that shares nothing with the
// proxy's own parser, for test clients and backends to judge what the proxy sends. Also bodies made
// from a seed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rondo::sim {

// `length` bytes of the endless text that belongs to `seed`, beginning at `offset`.
std::string BodyText(uint64_t seed, uint64_t offset, size_t length);

// The same bytes from 0 on as a chunked body, in chunks of sizes that the seed decides, with the
// last one.
std::string ChunkedBody(uint64_t seed, size_t length);

// FNV-1a over all bytes added.
class BodyHash {
 public:
  void Add(std::string_view bytes);
  uint64_t value() const { return value_; }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

struct HttpHead {
  std::string method, target;                               // of a request
  int status = 0;                                           // of a response
  std::string version;                                      // "HTTP/1.1"
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case

  // The value of the only field of this name (lower case); empty where there is none or several.
  std::string_view Get(std::string_view name) const;
  size_t Count(std::string_view name) const;
  // Whether `token` is among the comma-separated values of all such fields; lower case.
  bool Has(std::string_view name, std::string_view token) const;
};

class HttpReader {
 public:
  enum class Kind : uint8_t { kRequest, kResponse };
  explicit HttpReader(Kind kind) : kind_(kind) {}

  std::function<void(const HttpHead&)> on_head;  // of 1xx responses too, which have no on_end
  std::function<void(std::string_view)> on_body;
  std::function<void()> on_end;
  // For responses: whether the one now beginning answers a HEAD request.
  std::function<bool()> answers_head;

  // False once the bytes were not HTTP: error() says why, and nothing more is read.
  bool Feed(std::string_view bytes);
  // The end of the stream. False where it came in the middle of a message.
  bool Finish();
  // After a 101 or an accepted upgrade: everything further is given to on_body as it is.
  void GoRaw() { state_ = State::kRaw; }

  const std::string& error() const { return error_; }
  bool between_messages() const { return state_ == State::kHead && buffer_.empty(); }

 private:
  enum class State : uint8_t {
    kHead,
    kLength,
    kChunkSize,
    kChunkData,
    kChunkEnd,
    kTrailers,
    kUntilClose,
    kRaw,
    kFailed
  };
  bool Fail(std::string why);
  bool StepOnce();  // false: more bytes are needed, or it failed
  bool TakeLine(std::string& line);
  bool TakeHead();
  bool ParseStart(const std::string& line);
  bool ParseField(const std::string& line, bool trailer);
  bool BeginBody();
  bool TakeBody();
  bool TakeChunkSize();
  void EndMessage();

  Kind kind_;
  State state_ = State::kHead;
  std::string buffer_;
  size_t from_ = 0;
  bool has_start_ = false;
  HttpHead head_;
  uint64_t left_ = 0;
  std::string error_;
};

}  // namespace rondo::sim
