// HTTP/1 as the simulated clients and backends speak it: a small strict reader of its own, so that
// the proxy's codecs are judged by a second opinion, and bodies that both ends can make from a
// seed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rondo::sim {

// Appends bytes [from, from + count) of the endless body of that seed.
void AppendBody(uint64_t seed, size_t from, size_t count, std::string& out);
// Whether `bytes` stand at `from` in it.
bool IsBody(uint64_t seed, size_t from, std::string_view bytes);

enum class BodyMode : uint8_t { kNone, kLength, kChunked, kUntilClose };

struct BodyPlan {
  BodyMode mode = BodyMode::kNone;
  uint64_t seed = 0;
  size_t bytes = 0;
  bool trailer = false;  // kChunked: "X-Trailer: <seed>"
};
// The body as it goes on the wire; chunk sizes and extensions are drawn from its seed.
std::string WriteBody(const BodyPlan& body);
// "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n" or nothing.
std::string WriteFraming(const BodyPlan& body);
std::string TrailerOf(const BodyPlan& body);

struct WireHead {
  std::string start[3];                                     // the words of the first line
  std::vector<std::pair<std::string, std::string>> fields;  // names in lower case

  int status() const { return std::stoi(start[1]); }
  // The value of the only field of that name; empty where there is none.
  std::string Get(std::string_view name) const;
  size_t Count(std::string_view name) const;
};

// Messages of one direction of one connection, one after the other.
class WireReader {
 public:
  enum class Role : uint8_t { kRequests, kResponses };
  enum class Then : uint8_t {
    kBody,     // as its fields say
    kNoBody,   // whatever they say
    kInterim,  // another head of the same message follows
    kRaw,      // no message follows: all further bytes go to on_raw
  };
  explicit WireReader(Role role) : role_(role) {}

  std::function<Then(const WireHead&)> on_head;
  std::function<void(std::string_view)> on_body;
  // The message is whole; trailers as "Name: value\r\n" lines.
  std::function<void(std::string_view trailers)> on_message;
  std::function<void(std::string_view)> on_raw;

  void Feed(std::string_view bytes);
  // The connection has ended in order: ends a body that goes until then.
  void End();

  // Not empty: what was wrong; nothing is read after that.
  const std::string& broken() const { return broken_; }
  // Some of a message has been read, but not all of it.
  bool inside() const { return state_ != State::kHead || !text_.empty() || interim_; }
  bool until_close() const { return state_ == State::kUntilClose; }

 private:
  enum class State : uint8_t {
    kHead,
    kLength,
    kUntilClose,
    kChunkLine,
    kChunkData,
    kChunkEnd,
    kTrailers,
    kRaw,
  };
  bool TakeUntil(std::string_view end, std::string_view& bytes);
  void TakeData(std::string_view& bytes);
  void TakeHead();
  bool ParseHead(WireHead& head);
  void BeginBody(const WireHead& head);
  void TakeChunkLine();
  void TakeTrailerLine();
  void EndMessage();

  Role role_;
  State state_ = State::kHead;
  std::string text_;  // of a head or line that is not whole yet
  std::string trailers_;
  uint64_t left_ = 0;
  bool interim_ = false;
  std::string broken_;
};

}  // namespace rondo::sim
