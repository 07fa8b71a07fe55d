// What a backend is told of the certificate that a client has shown: X-Client-Verified, -Subject,
// -Issuer, -Serial and -Fingerprint. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/http/header_edits.h"

namespace rondo::http {

inline constexpr std::array<std::string_view, 5> kClientCertificateFields = {
    "X-Client-Verified", "X-Client-Subject", "X-Client-Issuer", "X-Client-Serial",
    "X-Client-Fingerprint"};

// Names that no client may send where backends believe these: they, and those that a backend which
// reads '_' for '-' (CGI, WSGI) would take for them.
std::vector<std::string> ForgeableClientNames();

// As a bit for each of kClientCertificateFields: those that `edits` sets or removes itself.
uint8_t ClientFieldsOf(const HeaderEdits& edits);

// As the certificate says; texts may have any bytes.
struct ClientIdentity {
  std::string_view subject;
  std::string_view issuer;
  std::string_view serial;
  std::string_view fingerprint;
};

// Appends "Name: value\r\n" lines, those of `without` (as ClientFieldsOf) left out:
// X-Client-Verified says SUCCESS, or NONE where there is no certificate (null), which has no other
// line. What cannot stand in a field (control characters, what is not ASCII) is written as RFC 4514
// escapes it: \0A.
void AppendClientFields(const ClientIdentity* client, uint8_t without, std::string& lines);

}  // namespace rondo::http
