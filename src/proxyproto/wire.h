// How headers look on the wire (proxy-protocol.txt, sections 2.1 and 2.2).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace rondo::proxyproto {

inline constexpr std::string_view kV1Prefix = "PROXY ";

// It has a zero in its middle.
inline constexpr std::string_view kV2Signature("\r\n\r\n\0\r\nQUIT\n", 12);
inline constexpr size_t kV2CommandAt = 12;  // the version in its upper half
inline constexpr size_t kV2FamilyAt = 13;
inline constexpr size_t kV2LengthAt = 14;  // of all that follows the fixed part
inline constexpr size_t kV2Fixed = 16;

inline constexpr uint8_t kCommandLocal = 0x20;
inline constexpr uint8_t kCommandProxy = 0x21;
inline constexpr uint8_t kFamilyNone = 0x00;
inline constexpr uint8_t kFamilyTcp4 = 0x11;
inline constexpr uint8_t kFamilyTcp6 = 0x21;
inline constexpr uint8_t kFamilyUnixStream = 0x31;
inline constexpr size_t kV4Addresses = 12;
inline constexpr size_t kV6Addresses = 36;
inline constexpr size_t kUnixAddresses = 216;

inline constexpr size_t kTlvHeader = 3;
inline constexpr uint8_t kTlvCrc32c = 0x03;

}  // namespace rondo::proxyproto
