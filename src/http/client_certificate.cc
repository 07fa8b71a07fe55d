#include "rondo/http/client_certificate.h"

#include "rondo/http/field.h"

namespace rondo::http {
namespace {

void AppendValue(std::string_view text, std::string& to) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      to.push_back(c);
    } else {
      to.append({'\\', kDigits[byte >> 4], kDigits[byte & 15]});
    }
  }
}

}  // namespace

std::vector<std::string> ForgeableClientNames() {
  std::vector<std::string> names;
  for (const std::string_view field : kClientCertificateFields) {
    const size_t first = field.find('-');
    const size_t second = field.find('-', first + 1);
    for (const char a : {'-', '_'}) {
      for (const char b : {'-', '_'}) {
        names.emplace_back(field);
        names.back()[first] = a;
        names.back()[second] = b;
      }
    }
  }
  return names;
}

uint8_t ClientFieldsOf(const HeaderEdits& edits) {
  uint8_t bits = 0;
  for (size_t i = 0; i < kClientCertificateFields.size(); ++i) {
    bool named = false;
    for (const auto& [name, value] : edits.set) {
      named |= EqualsIgnoreCase(name, kClientCertificateFields[i]);
    }
    for (const std::string& name : edits.remove) {
      named |= EqualsIgnoreCase(name, kClientCertificateFields[i]);
    }
    if (named) bits |= static_cast<uint8_t>(1u << i);
  }
  return bits;
}

void AppendClientFields(const ClientIdentity* client, uint8_t without, std::string& lines) {
  std::array<std::string_view, kClientCertificateFields.size()> values = {"NONE"};
  if (client != nullptr) {
    values = {"SUCCESS", client->subject, client->issuer, client->serial, client->fingerprint};
  }
  const size_t count = client != nullptr ? values.size() : 1;
  for (size_t i = 0; i < count; ++i) {
    if ((without >> i & 1) != 0) continue;
    lines.append(kClientCertificateFields[i]).append(": ");
    AppendValue(values[i], lines);
    lines.append("\r\n");
  }
}

}  // namespace rondo::http
