#include <array>
#include <charconv>
#include <cstring>

#include "proxyproto/crc32c.h"
#include "proxyproto/wire.h"
#include "rondo/proxyproto/header.h"

namespace rondo::proxyproto {
namespace {

constexpr char kMissing[] = "proxy_header_missing";
constexpr char kMalformed[] = "proxy_header_malformed";
constexpr char kTooLong[] = "proxy_header_too_long";
constexpr char kChecksum[] = "proxy_header_checksum";

Parsed Bad(const char* reason) {
  Parsed parsed;
  parsed.state = Parse::kBad;
  parsed.reason = reason;
  return parsed;
}

Parsed Done(size_t size, const Header& header) {
  Parsed parsed;
  parsed.state = Parse::kDone;
  parsed.size = size;
  parsed.header = header;
  return parsed;
}

// -- version 1: a line of text --

// The word up to the next space, which goes with it; nothing where no space follows or the word is
// empty.
std::optional<std::string_view> TakeWord(std::string_view& line) {
  const size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos) return std::nullopt;
  const std::string_view word = line.substr(0, space);
  line.remove_prefix(space + 1);
  return word;
}

// Decimal digits without leading zeros, 0 to 65535.
std::optional<uint16_t> ParsePort(std::string_view text) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return std::nullopt;
  }
  unsigned value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  if (value > 65535) return std::nullopt;
  return static_cast<uint16_t>(value);
}

// TCP4 names dotted addresses only, TCP6 those of IPv6 only; there a mapped IPv4 address is one to
// us as well.
std::optional<IpAddress> ParseIp(std::string_view text, bool v6) {
  const bool has_colon = text.find(':') != std::string_view::npos;
  return has_colon == v6 ? IpAddress::Parse(text) : std::nullopt;
}

// `line` without "PROXY " and the line's end.
std::optional<Header> ParseV1Line(std::string_view line) {
  // What follows UNKNOWN is ignored, whatever it is.
  if (line == "UNKNOWN" || line.starts_with("UNKNOWN ")) return Header();
  const auto family = TakeWord(line);
  if (!family || (*family != "TCP4" && *family != "TCP6")) return std::nullopt;
  const auto source = TakeWord(line);
  const auto destination = TakeWord(line);
  const auto source_port = TakeWord(line);
  if (!source || !destination || !source_port) return std::nullopt;
  const bool v6 = *family == "TCP6";
  const auto source_ip = ParseIp(*source, v6);
  const auto destination_ip = ParseIp(*destination, v6);
  const auto from_port = ParsePort(*source_port);
  const auto to_port = ParsePort(line);
  if (!source_ip || !destination_ip || !from_port || !to_port) return std::nullopt;
  Header header;
  header.source = Endpoint{*source_ip, *from_port};
  header.destination = Endpoint{*destination_ip, *to_port};
  return header;
}

// `received` begins with "PROXY ".
Parsed ParseV1(std::string_view received) {
  const size_t newline = received.substr(0, kV1Max).find('\n');
  if (newline == std::string_view::npos) {
    // The longest line has its end within kV1Max bytes.
    return received.size() < kV1Max ? Parsed() : Bad(kTooLong);
  }
  if (received[newline - 1] != '\r') return Bad(kMalformed);
  const auto header =
      ParseV1Line(received.substr(kV1Prefix.size(), newline - 1 - kV1Prefix.size()));
  return header ? Done(newline + 1, *header) : Bad(kMalformed);
}

// -- version 2: binary --

uint8_t ByteAt(std::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

uint16_t Number16At(std::string_view bytes, size_t at) {
  return static_cast<uint16_t>(ByteAt(bytes, at) << 8 | ByteAt(bytes, at + 1));
}

uint32_t Number32At(std::string_view bytes, size_t at) {
  return static_cast<uint32_t>(Number16At(bytes, at)) << 16 | Number16At(bytes, at + 2);
}

IpAddress V4At(std::string_view bytes, size_t at) { return IpAddress::V4(Number32At(bytes, at)); }

IpAddress V6At(std::string_view bytes, size_t at) {
  IpAddress address;
  std::memcpy(address.bytes.data(), bytes.data() + at, address.bytes.size());
  return address;
}

// Of the header with zeros where the checksum stands.
bool ChecksumHolds(std::string_view whole, size_t at) {
  static constexpr std::array<char, 4> kZeros{};
  uint32_t sum = Crc32c(kCrc32cStart, whole.substr(0, at));
  sum = Crc32c(sum, std::string_view(kZeros.data(), kZeros.size()));
  sum = Crc32c(sum, whole.substr(at + kZeros.size()));
  return (sum ^ kCrc32cStart) == Number32At(whole, at);
}

// Goes through the additions from `at` to the end of `whole`: null, or what is wrong.
const char* CheckAdditions(std::string_view whole, size_t at) {
  while (at < whole.size()) {
    if (whole.size() - at < kTlvHeader) return kMalformed;
    const uint8_t type = ByteAt(whole, at);
    const size_t length = Number16At(whole, at + 1);
    at += kTlvHeader;
    if (length > whole.size() - at) return kMalformed;
    if (type == kTlvCrc32c) {
      if (length != 4) return kMalformed;
      if (!ChecksumHolds(whole, at)) return kChecksum;
    }
    at += length;
  }
  return nullptr;
}

// `received` begins with kV2Signature.
Parsed ParseV2(std::string_view received) {
  if (received.size() > kV2CommandAt) {
    // Version 2, and LOCAL or PROXY.
    if ((ByteAt(received, kV2CommandAt) & 0xfe) != 0x20) return Bad(kMalformed);
  }
  if (received.size() < kV2Fixed) return Parsed();
  const bool local = (ByteAt(received, kV2CommandAt) & 0x0f) == 0;
  const uint8_t family = ByteAt(received, kV2FamilyAt);
  const size_t length = Number16At(received, kV2LengthAt);
  if (length > kHeaderMax - kV2Fixed) return Bad(kTooLong);
  const size_t size = kV2Fixed + length;
  if (received.size() < size) return Parsed();
  const std::string_view whole = received.substr(0, size);
  // LOCAL: the addresses, if any, are to be thrown away, whatever they are.
  Header header;
  header.local = local;
  if (local) return Done(size, header);
  size_t addresses = 0;
  switch (family) {
    case kFamilyTcp4:
      addresses = kV4Addresses;
      break;
    case kFamilyTcp6:
      addresses = kV6Addresses;
      break;
    case kFamilyUnixStream:
      addresses = kUnixAddresses;
      break;
    default:
      // Unspecified, datagrams, and what later versions may add: accepted, and nothing is known of
      // the client. Where the additions begin is not known either.
      return Done(size, header);
  }
  if (length < addresses) return Bad(kMalformed);
  if (family == kFamilyTcp4) {
    header.source = Endpoint{V4At(whole, 16), Number16At(whole, 24)};
    header.destination = Endpoint{V4At(whole, 20), Number16At(whole, 26)};
  } else if (family == kFamilyTcp6) {
    header.source = Endpoint{V6At(whole, 16), Number16At(whole, 48)};
    header.destination = Endpoint{V6At(whole, 32), Number16At(whole, 50)};
  }
  const char* wrong = CheckAdditions(whole, kV2Fixed + addresses);
  return wrong == nullptr ? Done(size, header) : Bad(wrong);
}

// Whether `received`, as far as it goes, is how `beginning` begins.
bool MayBecome(std::string_view received, std::string_view beginning) {
  const size_t common = received.size() < beginning.size() ? received.size() : beginning.size();
  return received.substr(0, common) == beginning.substr(0, common);
}

}  // namespace

Parsed ParseHeader(std::string_view received) {
  if (MayBecome(received, kV1Prefix)) {
    return received.size() < kV1Prefix.size() ? Parsed() : ParseV1(received);
  }
  if (MayBecome(received, kV2Signature)) {
    return received.size() < kV2Signature.size() ? Parsed() : ParseV2(received);
  }
  return Bad(kMissing);
}

}  // namespace rondo::proxyproto
