// Files of ticket keys, binary or in base64.
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <string>

#include "rondo/tls/ticket_keys.h"
#include "tls/pem.h"

namespace rondo::tls {
namespace {

constexpr size_t kKeyBytes = 80;
constexpr size_t kOldKeyBytes = 48;
constexpr size_t kKeyText = 108;  // base64 of 80 bytes
constexpr size_t kOldKeyText = 64;

absl::Status OldKeys() {
  return Wrong("48-byte ticket keys (AES-128) are not taken; 80 bytes a key were expected");
}

std::string_view Trimmed(std::string_view line) {
  constexpr std::string_view kBlank = " \t\r";
  const size_t first = line.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(kBlank) - first + 1);
}

bool IsText(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char byte) {
    return (byte >= ' ' && byte <= '~') || byte == '\n' || byte == '\r' || byte == '\t';
  });
}

absl::Status BadLine(size_t number, std::string_view why) {
  return Wrong("line " + std::to_string(number) + ": " + std::string(why));
}

// The bytes of one key's text, behind `bytes`.
bool Decode(const std::string& text, std::string& bytes) {
  unsigned char decoded[kKeyText / 4 * 3];
  // The library takes blanks and signs at odd places: what it gives back has to be the text again.
  const int size = EVP_DecodeBlock(decoded, reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size != static_cast<int>(sizeof(decoded))) return false;
  unsigned char again[kKeyText + 1];
  EVP_EncodeBlock(again, decoded, kKeyBytes);
  if (std::string_view(reinterpret_cast<char*>(again), kKeyText) != text) return false;
  bytes.append(reinterpret_cast<char*>(decoded), kKeyBytes);
  OPENSSL_cleanse(decoded, sizeof(decoded));
  OPENSSL_cleanse(again, sizeof(again));
  return true;
}

absl::StatusOr<std::string> DecodeLines(std::string_view text) {
  std::string bytes;
  std::string key;  // so far: the lines of a wrapped one
  size_t number = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = Trimmed(text.substr(at, end - at));
    at = end + 1;
    ++number;
    if (line.empty() || line.starts_with('#')) continue;
    if (key.size() == kOldKeyText && line.size() != kKeyText - kOldKeyText) return OldKeys();
    key += line;
    if (key.size() > kKeyText) return BadLine(number, "longer than base64 of 80 bytes is");
    if (key.size() < kKeyText && key.size() != kOldKeyText) {
      return BadLine(number, "shorter than base64 of 80 bytes is");
    }
    if (key.size() < kKeyText) continue;
    if (!Decode(key, bytes)) return BadLine(number, "not base64 of 80 bytes");
    key.clear();
  }
  if (!key.empty()) return OldKeys();
  return bytes;
}

absl::Status CheckKeys(const TicketKeys::Keys& keys, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (keys[i] == TicketKey{}) {
      return Wrong("ticket key " + std::to_string(i + 1) + " is nothing but zeros");
    }
    for (size_t j = 0; j < i; ++j) {
      if (keys[i].name != keys[j].name) continue;
      return Wrong("ticket keys " + std::to_string(j + 1) + " and " + std::to_string(i + 1) +
                   " have the same name (their first 16 bytes)");
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<TicketKeys::Keys> TicketKeys::ParseFile(std::string_view text, size_t* count) {
  std::string bytes;
  if (IsText(text)) {
    absl::StatusOr<std::string> decoded = DecodeLines(text);
    if (!decoded.ok()) return decoded.status();
    bytes = *std::move(decoded);
  } else if (text.size() % kKeyBytes == 0) {
    bytes = text;
  } else if (text.size() % kOldKeyBytes == 0) {
    return OldKeys();
  } else {
    return Wrong("a file of " + std::to_string(text.size()) +
                 " bytes; 80 bytes a key were expected, or base64 lines of them");
  }
  if (bytes.empty()) return Wrong("no ticket key was found");
  if (bytes.size() > kKeysMax * kKeyBytes) {
    return Wrong(std::to_string(bytes.size() / kKeyBytes) +
                 " ticket keys were found; at most 4 are taken");
  }
  Keys keys{};
  *count = bytes.size() / kKeyBytes;
  for (size_t i = 0; i < *count; ++i) {
    const char* key = bytes.data() + i * kKeyBytes;
    std::memcpy(keys[i].name.data(), key, 16);
    std::memcpy(keys[i].mac.data(), key + 16, 32);
    std::memcpy(keys[i].cipher.data(), key + 48, 32);
  }
  OPENSSL_cleanse(bytes.data(), bytes.size());
  absl::Status status = CheckKeys(keys, *count);
  if (!status.ok()) return status;
  return keys;
}

}  // namespace rondo::tls
