#include "control/dns_answer.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace rondo::control {
namespace {

constexpr size_t kHeaderBytes = 12;
constexpr uint16_t kClassInternet = 1;
constexpr uint16_t kTypeAlias = 5;  // CNAME
constexpr size_t kNameBytesMax = 255;
constexpr int kAliasesMax = 16;

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

// Letters, digits, hyphens and underscores in labels.
bool IsHostName(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
}

class Reader {
 public:
  explicit Reader(std::span<const uint8_t> message) : message_(message) {}

  bool ok() const { return ok_; }
  size_t at() const { return at_; }
  void Skip(size_t bytes) {
    if (Need(bytes)) at_ += bytes;
  }
  uint8_t Byte() { return Need(1) ? message_[at_++] : uint8_t{0}; }
  uint16_t Short() {
    const unsigned high = Byte();
    return static_cast<uint16_t>(high << 8 | Byte());
  }
  uint32_t Long() {
    const uint32_t high = Short();
    return high << 16 | Short();
  }

  // A name at the reader's place, in lower case, labels parted by dots; empty for the root. Bytes
  // that would make two different names look alike are escaped.
  std::string Name() {
    std::string name;
    size_t at = at_;
    size_t limit = message_.size();  // pointers lead backwards only, so this ends
    bool jumped = false;
    for (;;) {
      if (at >= limit) return Fail();
      const size_t length = message_[at];
      if (length >= 0xc0) {
        if (at + 1 >= limit) return Fail();
        const size_t target = (length & 0x3f) << 8 | message_[at + 1];
        if (!jumped) at_ = at + 2;
        jumped = true;
        if (target >= at) return Fail();
        limit = at;
        at = target;
        continue;
      }
      if (length > 63 || at + 1 + length > limit) return Fail();
      ++at;
      if (length == 0) break;
      if (!name.empty()) name += '.';
      for (size_t i = 0; i < length; ++i) AppendByte(name, message_[at + i]);
      at += length;
      if (name.size() > 4 * kNameBytesMax) return Fail();
    }
    if (!jumped) at_ = at;
    return name;
  }

 private:
  bool Need(size_t bytes) {
    ok_ = ok_ && message_.size() - at_ >= bytes;
    return ok_;
  }
  std::string Fail() {
    ok_ = false;
    return {};
  }
  static void AppendByte(std::string& name, uint8_t byte) {
    const char c = Lower(static_cast<char>(byte));
    if (c == '.' || c == '\\' || byte <= ' ' || byte >= 0x7f) name += '\\';
    name += c;
  }

  std::span<const uint8_t> message_;
  size_t at_ = 0;
  bool ok_ = true;
};

struct Record {
  std::string owner;
  Duration ttl{};
  ResolvedRecord value;
  std::string alias;  // of a CNAME
};

IpAddress ReadAddress(Reader& reader, DnsType type) {
  if (type == DnsType::kA) return IpAddress::V4(reader.Long());
  IpAddress ip;
  for (uint8_t& byte : ip.bytes) byte = reader.Byte();
  return ip;
}

// The data of a record of the type asked for. False where it does not fill its length.
bool ReadValue(Reader& reader, DnsType type, size_t length, ResolvedRecord& value) {
  const size_t end = reader.at() + length;
  switch (type) {
    case DnsType::kA:
    case DnsType::kAaaa:
      value.ip = ReadAddress(reader, type);
      break;
    case DnsType::kSrv:
      value.priority = reader.Short();
      value.weight = reader.Short();
      value.port = reader.Short();
      value.target = reader.Name();
      break;
  }
  return reader.ok() && reader.at() == end;
}

bool IsUsable(const ResolvedRecord& value, DnsType type) {
  if (type == DnsType::kSrv) return IsHostName(value.target);
  return value.ip != IpAddress() && value.ip != IpAddress::V4(0);
}

// The records of the answer section that count: of the type asked for, and aliases.
bool ReadRecords(Reader& reader, size_t count, DnsType type, size_t records_max,
                 std::vector<Record>& records) {
  for (size_t i = 0; i < count && records.size() < records_max; ++i) {
    Record record;
    record.owner = reader.Name();
    const uint16_t of_type = reader.Short();
    const uint16_t of_class = reader.Short();
    // RFC 2181 §8: a TTL with the highest bit set counts as 0.
    const uint32_t seconds = reader.Long();
    record.ttl = std::chrono::seconds(seconds > 0x7fffffff ? 0 : seconds);
    const size_t length = reader.Short();
    if (!reader.ok()) return false;
    if (of_class == kClassInternet && of_type == static_cast<uint16_t>(type)) {
      if (!ReadValue(reader, type, length, record.value)) return false;
      records.push_back(std::move(record));
    } else if (of_class == kClassInternet && of_type == kTypeAlias) {
      const size_t end = reader.at() + length;
      record.alias = reader.Name();
      if (!reader.ok() || reader.at() != end) return false;
      records.push_back(std::move(record));
    } else {
      reader.Skip(length);
      if (!reader.ok()) return false;
    }
  }
  return true;
}

}  // namespace

std::optional<DnsAnswer> ParseDnsAnswer(std::span<const uint8_t> message, std::string_view name,
                                        DnsType type, size_t records_max) {
  Reader reader(message);
  reader.Skip(2);
  const uint16_t flags = reader.Short();
  const size_t questions = reader.Short();
  const size_t answers = reader.Short();
  reader.Skip(kHeaderBytes - reader.at());
  if (!reader.ok() || (flags & 0x8000) == 0) return std::nullopt;
  for (size_t i = 0; i < questions; ++i) {
    reader.Name();
    reader.Skip(4);
    if (!reader.ok()) return std::nullopt;
  }
  std::vector<Record> records;
  if (!ReadRecords(reader, answers, type, records_max, records)) return std::nullopt;

  DnsAnswer answer;
  std::string owner(name);
  std::transform(owner.begin(), owner.end(), owner.begin(), Lower);
  Duration ttl = Duration::max();
  for (int aliases = 0; aliases < kAliasesMax; ++aliases) {
    const auto alias = std::find_if(records.begin(), records.end(), [&](const Record& record) {
      return !record.alias.empty() && record.owner == owner;
    });
    if (alias == records.end()) break;
    ttl = std::min(ttl, alias->ttl);
    owner = alias->alias;
  }
  for (Record& record : records) {
    if (!record.alias.empty() || record.owner != owner || !IsUsable(record.value, type)) continue;
    ttl = std::min(ttl, record.ttl);
    answer.records.push_back(std::move(record.value));
  }
  if (!answer.records.empty()) answer.ttl = ttl;
  return answer;
}

}  // namespace rondo::control
