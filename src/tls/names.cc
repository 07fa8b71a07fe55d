#include "tls/names.h"

#include <openssl/x509v3.h>

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>

#include "tls/contexts.h"

namespace rondo::tls {
namespace {

constexpr size_t kNameMax = 253;  // RFC 1035 §3.1, as text
constexpr size_t kNamesMax = 4096;

std::string_view TextOf(const ASN1_STRING* text) {
  return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
          static_cast<size_t>(ASN1_STRING_length(text))};
}

// RFC 5280 §4.2.1.6: four bytes, or sixteen.
std::string AddressText(const ASN1_STRING* address) {
  const std::string_view bytes = TextOf(address);
  const auto byte = [&](size_t i) { return static_cast<unsigned>(static_cast<uint8_t>(bytes[i])); };
  std::string text;
  if (bytes.size() == 4) {
    for (size_t i = 0; i < 4; ++i) text += (i == 0 ? "" : ".") + std::to_string(byte(i));
    return text;
  }
  if (bytes.size() != 16) return {};
  char group[8];
  for (size_t i = 0; i < 16; i += 2) {
    std::snprintf(group, sizeof(group), i == 0 ? "%x" : ":%x", byte(i) << 8 | byte(i + 1));
    text += group;
  }
  return text;
}

void Add(std::string name, std::vector<std::string>& names) {
  if (name.empty() || names.size() == kNamesMax) return;
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(std::move(name));
}

// A name as it may stand in a certificate: with a star for the first label.
std::string CertificateName(std::string_view name) {
  if (!name.starts_with("*.")) return HostName(name);
  const std::string parent = HostName(name.substr(2));
  return parent.empty() ? parent : "*." + parent;
}

void AddCommonName(X509* certificate, std::vector<std::string>& names) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return;
  const ASN1_STRING* text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
  if (text != nullptr) Add(CertificateName(TextOf(text)), names);
}

}  // namespace

std::vector<std::string> NamesOf(X509* certificate) {
  std::vector<std::string> names;
  const std::unique_ptr<GENERAL_NAMES, FreeWith<GENERAL_NAMES_free>> alternatives(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (alternatives == nullptr) {
    AddCommonName(certificate, names);
    return names;
  }
  for (int i = 0; i < sk_GENERAL_NAME_num(alternatives.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(alternatives.get(), i);
    if (name->type == GEN_DNS) Add(CertificateName(TextOf(name->d.dNSName)), names);
    if (name->type == GEN_IPADD) Add(AddressText(name->d.iPAddress), names);
  }
  return names;
}

std::string HostName(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kNameMax) return {};
  std::string host(name);
  char before = '.';
  for (char& letter : host) {
    if (letter >= 'A' && letter <= 'Z') letter = static_cast<char>(letter | 0x20);
    const bool fits = (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') ||
                      letter == '-' || letter == '_' || (letter == '.' && before != '.');
    if (!fits) return {};
    before = letter;
  }
  return host;
}

bool IsAddress(std::string_view name) {
  if (name.find(':') != std::string_view::npos) return true;
  const std::string text(name);
  const std::unique_ptr<ASN1_OCTET_STRING, FreeWith<ASN1_OCTET_STRING_free>> address(
      a2i_IPADDRESS(text.c_str()));
  return address != nullptr;
}

}  // namespace rondo::tls
