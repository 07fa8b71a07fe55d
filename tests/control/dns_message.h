// Builds DNS messages byte by byte, right ones and wrong ones.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/base/address.h"

namespace rondo::control::testing {

class DnsMessage {
 public:
  // A header of an answer with one question.
  DnsMessage(std::string_view name, uint16_t type) {
    Short(0x1234).Short(0x8180).Short(1).Short(0).Short(0).Short(0);
    Name(name).Short(type).Short(1);
  }

  DnsMessage& Byte(unsigned value) {
    bytes.push_back(static_cast<uint8_t>(value));
    return *this;
  }
  DnsMessage& Short(unsigned value) { return Byte(value >> 8 & 0xff).Byte(value & 0xff); }
  DnsMessage& Long(uint32_t value) { return Short(value >> 16).Short(value & 0xffff); }
  DnsMessage& Name(std::string_view name) {
    while (!name.empty()) {
      const size_t end = std::min(name.find('.'), name.size());
      Byte(static_cast<unsigned>(end));
      for (const char c : name.substr(0, end)) Byte(static_cast<uint8_t>(c));
      name.remove_prefix(std::min(end + 1, name.size()));
    }
    return Byte(0);
  }
  // Twelve is where the question's name begins.
  DnsMessage& Pointer(unsigned to) { return Short(0xc000 | to); }

  // Records of the answer section; `data` counts itself.
  DnsMessage& Record(std::string_view owner, uint16_t type, uint32_t ttl,
                     const std::vector<uint8_t>& data, uint16_t of_class = 1) {
    ++bytes[7];
    Name(owner).Short(type).Short(of_class).Long(ttl).Short(static_cast<unsigned>(data.size()));
    bytes.insert(bytes.end(), data.begin(), data.end());
    return *this;
  }
  DnsMessage& A(std::string_view owner, uint32_t ttl, std::string_view ip) {
    const IpAddress address = *IpAddress::Parse(ip);
    return Record(owner, 1, ttl, {address.bytes.begin() + 12, address.bytes.end()});
  }
  DnsMessage& Aaaa(std::string_view owner, uint32_t ttl, std::string_view ip) {
    const IpAddress address = *IpAddress::Parse(ip);
    return Record(owner, 28, ttl, {address.bytes.begin(), address.bytes.end()});
  }
  DnsMessage& Alias(std::string_view owner, uint32_t ttl, std::string_view to) {
    return Record(owner, 5, ttl, NameBytes(to));
  }
  DnsMessage& Srv(std::string_view owner, uint32_t ttl, unsigned priority, unsigned weight,
                  unsigned port, std::string_view target) {
    DnsMessage data;
    data.Short(priority).Short(weight).Short(port).Name(target);
    return Record(owner, 33, ttl, data.bytes);
  }

  std::vector<uint8_t> bytes;

 private:
  DnsMessage() = default;
  static std::vector<uint8_t> NameBytes(std::string_view name) {
    DnsMessage data;
    data.Name(name);
    return data.bytes;
  }
};

}  // namespace rondo::control::testing
