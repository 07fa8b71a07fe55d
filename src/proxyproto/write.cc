#include <charconv>
#include <cstring>

#include "proxyproto/wire.h"
#include "rondo/base/check.h"
#include "rondo/proxyproto/header.h"

namespace rondo::proxyproto {
namespace {

char* Put(std::string_view text, char* out) {
  std::memcpy(out, text.data(), text.size());
  return out + text.size();
}

char* PutNumber16(uint16_t value, char* out) {
  *out++ = static_cast<char>(value >> 8);
  *out++ = static_cast<char>(value & 0xff);
  return out;
}

// In the family of the header: an IPv4 address among IPv6 ones is written as a mapped one.
char* PutTextIp(const IpAddress& ip, bool v4, char* out) {
  if (!v4 && ip.is_v4()) out = Put("::ffff:", out);
  return out + ip.Write(out);
}

char* PutPort(uint16_t port, char* out) { return std::to_chars(out, out + 5, port).ptr; }

size_t WriteV1(const Endpoint* source, const Endpoint* destination, bool v4, char* out) {
  char* end = Put(kV1Prefix, out);
  if (source == nullptr) {
    end = Put("UNKNOWN\r\n", end);
    return static_cast<size_t>(end - out);
  }
  end = Put(v4 ? "TCP4 " : "TCP6 ", end);
  end = PutTextIp(source->ip, v4, end);
  *end++ = ' ';
  end = PutTextIp(destination->ip, v4, end);
  *end++ = ' ';
  end = PutPort(source->port, end);
  *end++ = ' ';
  end = PutPort(destination->port, end);
  end = Put("\r\n", end);
  return static_cast<size_t>(end - out);
}

char* PutIp(const IpAddress& ip, bool v4, char* out) {
  const size_t skip = v4 ? 12 : 0;
  std::memcpy(out, ip.bytes.data() + skip, ip.bytes.size() - skip);
  return out + ip.bytes.size() - skip;
}

size_t WriteV2(const Endpoint* source, const Endpoint* destination, bool v4, char* out) {
  char* end = Put(kV2Signature, out);
  *end++ = static_cast<char>(source == nullptr ? kCommandLocal : kCommandProxy);
  if (source == nullptr) {
    *end++ = static_cast<char>(kFamilyNone);
    end = PutNumber16(0, end);
    return static_cast<size_t>(end - out);
  }
  *end++ = static_cast<char>(v4 ? kFamilyTcp4 : kFamilyTcp6);
  end = PutNumber16(static_cast<uint16_t>(v4 ? kV4Addresses : kV6Addresses), end);
  end = PutIp(source->ip, v4, end);
  end = PutIp(destination->ip, v4, end);
  end = PutNumber16(source->port, end);
  end = PutNumber16(destination->port, end);
  return static_cast<size_t>(end - out);
}

}  // namespace

size_t WriteHeader(Version version, const Endpoint* source, const Endpoint* destination,
                   char* out) {
  RONDO_CHECK((source == nullptr) == (destination == nullptr));
  const bool v4 = source != nullptr && source->ip.is_v4() && destination->ip.is_v4();
  switch (version) {
    case Version::kV1:
      return WriteV1(source, destination, v4, out);
    case Version::kV2:
      return WriteV2(source, destination, v4, out);
  }
  return 0;
}

}  // namespace rondo::proxyproto
