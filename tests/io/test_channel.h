// A channel for tests of what lies around it: records with lengths, checksums and a number each,
// their bytes disguised. Anything lost, doubled, reordered or mixed up is noticed at once. It also
// says things of its own in between, as TLS does.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "rondo/base/check.h"
#include "rondo/base/rng.h"
#include "rondo/tls/channel.h"

namespace rondo::io::testing {

class TestChannel final : public tls::Channel {
 public:
  // What one side says the other understands: their keys the other way round. `chatter`: how often
  // (0 to 1) a received record is answered with one of the protocol's own.
  TestChannel(uint64_t send_key, uint64_t receive_key, double chatter)
      : send_key_(send_key), receive_key_(receive_key), chatter_(chatter), rng_(send_key) {}

  Opened Open(std::span<char> in, std::span<char> out) override {
    Opened opened;
    while (incoming_ == tls::Incoming::kOpen) {
      const std::span<char> rest = in.subspan(opened.consumed);
      if (rest.size() >= tls::kRecordHeader && !Valid(rest)) {
        Fail();
        break;
      }
      const size_t record = RecordSize(rest);
      if (rest.size() < record) break;
      const size_t plain = record - tls::kRecordHeader - kTagBytes;
      const auto type = static_cast<Type>(rest[0]);
      if (type == Type::kData && plain > out.size() - opened.produced) break;
      OpenOne(rest.first(record), out.data() + opened.produced);
      if (incoming_ == tls::Incoming::kFailed) break;
      opened.consumed += record;
      if (type == Type::kData) opened.produced += plain;
    }
    if (incoming_ != tls::Incoming::kOpen) opened.consumed = in.size();
    opened.incoming = incoming_;
    return opened;
  }

  size_t RecordSize(std::span<const char> partial) const override {
    if (partial.size() < tls::kRecordHeader || !Valid(partial)) return tls::kRecordHeader;
    return tls::kRecordHeader + LengthOf(partial);
  }

  size_t Seal(std::span<const iovec> parts, size_t skip, size_t bytes, char* out) override {
    RONDO_CHECK(bytes > 0 && bytes <= tls::kRecordPlainMax);
    if (said_close_ || incoming_ == tls::Incoming::kFailed) return 0;
    const size_t before = TakePending(std::span<char>(out, pending_.size()));
    std::string plain;
    for (const iovec& part : parts) {
      const size_t skipped = std::min(skip, part.iov_len);
      skip -= skipped;
      const size_t count = std::min(part.iov_len - skipped, bytes - plain.size());
      plain.append(static_cast<const char*>(part.iov_base) + skipped, count);
    }
    RONDO_CHECK(plain.size() == bytes);
    const std::string record = Record(Type::kData, plain);
    std::memcpy(out + before, record.data(), record.size());
    return before + record.size();
  }
  size_t SealedSize(size_t bytes) const override {
    return pending_.size() + tls::kRecordHeader + bytes + kTagBytes;
  }

  size_t pending() const override { return pending_.size(); }
  size_t TakePending(std::span<char> out) override {
    const size_t count = std::min(out.size(), pending_.size());
    std::memcpy(out.data(), pending_.data(), count);
    pending_.erase(0, count);
    return count;
  }

  void Close() override {
    if (!std::exchange(said_close_, true)) pending_ += Record(Type::kClose, "");
  }
  void Shrink() override { ++shrinks; }

  int shrinks = 0;

 private:
  enum class Type : char { kData = 1, kClose, kAsk, kAnswer, kAlert };
  static constexpr size_t kTagBytes = 4;

  static size_t LengthOf(std::span<const char> header) {
    return static_cast<size_t>(static_cast<uint8_t>(header[1])) << 8 |
           static_cast<uint8_t>(header[2]);
  }
  static bool Valid(std::span<const char> header) {
    return header[0] >= 1 && header[0] <= 5 && header[3] == 'R' && header[4] == 'T' &&
           LengthOf(header) >= kTagBytes && LengthOf(header) <= tls::kRecordPlainMax + kTagBytes;
  }
  static uint32_t TagOf(uint64_t key, uint64_t number, std::string_view plain, char type) {
    uint64_t tag = key * 31 + number * 0x9e3779b97f4a7c15 + static_cast<uint8_t>(type);
    for (const char c : plain) tag = (tag ^ static_cast<uint8_t>(c)) * 0x100000001b3;
    return static_cast<uint32_t>(tag >> 17);
  }
  static char Disguise(uint64_t key, uint64_t number, size_t at) {
    return static_cast<char>((key + number * 7 + at * 13) >> 1 | 1);
  }

  std::string Record(Type type, std::string_view plain) {
    const size_t length = plain.size() + kTagBytes;
    std::string record = {static_cast<char>(type), static_cast<char>(length >> 8),
                          static_cast<char>(length), 'R', 'T'};
    for (size_t i = 0; i < plain.size(); ++i) {
      record.push_back(static_cast<char>(plain[i] ^ Disguise(send_key_, sent_, i)));
    }
    const uint32_t tag = TagOf(send_key_, sent_, plain, static_cast<char>(type));
    record.append(reinterpret_cast<const char*>(&tag), kTagBytes);
    ++sent_;
    return record;
  }

  void OpenOne(std::span<char> record, char* out) {
    const auto type = static_cast<Type>(record[0]);
    const size_t plain = record.size() - tls::kRecordHeader - kTagBytes;
    uint32_t tag;
    std::memcpy(&tag, record.data() + record.size() - kTagBytes, kTagBytes);
    char nothing = 0;
    char* to = type == Type::kData ? out : &nothing;
    if (type != Type::kData && plain > 0) return Fail();
    // Forward, since `out` may be the record's own place or lie before it.
    for (size_t i = 0; i < plain; ++i) {
      to[i] =
          static_cast<char>(record[tls::kRecordHeader + i] ^ Disguise(receive_key_, opened_, i));
    }
    const char raw_type = static_cast<char>(type);
    if (tag != TagOf(receive_key_, opened_, std::string_view(to, plain), raw_type)) return Fail();
    ++opened_;
    switch (type) {
      case Type::kData:
        if (!said_close_ && rng_.Chance(chatter_)) pending_ += Record(Type::kAsk, "");
        return;
      case Type::kAsk:
        if (!said_close_) pending_ += Record(Type::kAnswer, "");
        return;
      case Type::kClose:
        incoming_ = tls::Incoming::kClosed;
        return;
      case Type::kAlert:
        incoming_ = tls::Incoming::kFailed;
        return;
      case Type::kAnswer:
        return;
    }
  }
  void Fail() {
    if (!said_close_) pending_ += Record(Type::kAlert, "");
    incoming_ = tls::Incoming::kFailed;
  }

  const uint64_t send_key_;
  const uint64_t receive_key_;
  const double chatter_;
  Rng rng_;
  std::string pending_;
  uint64_t sent_ = 0;  // records
  uint64_t opened_ = 0;
  bool said_close_ = false;
  tls::Incoming incoming_ = tls::Incoming::kOpen;
};

// The two ends of one connection.
inline std::pair<std::unique_ptr<TestChannel>, std::unique_ptr<TestChannel>> MakeTestChannels(
    uint64_t key, double chatter = 0) {
  return {std::make_unique<TestChannel>(2 * key, 2 * key + 1, chatter),
          std::make_unique<TestChannel>(2 * key + 1, 2 * key, chatter)};
}

}  // namespace rondo::io::testing
