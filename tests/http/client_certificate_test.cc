#include "rondo/http/client_certificate.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace rondo::http {
namespace {

std::string Fields(const ClientIdentity* client, uint8_t without = 0) {
  std::string lines;
  AppendClientFields(client, without, lines);
  return lines;
}

TEST(ClientCertificate, SaysWhatTheCertificateSays) {
  const ClientIdentity client{"CN=alice,O=Example", "CN=Example CA", "0A1B", "00ff"};
  EXPECT_EQ(Fields(&client),
            "X-Client-Verified: SUCCESS\r\nX-Client-Subject: CN=alice,O=Example\r\n"
            "X-Client-Issuer: CN=Example CA\r\nX-Client-Serial: 0A1B\r\n"
            "X-Client-Fingerprint: 00ff\r\n");
}

TEST(ClientCertificate, SaysThatThereIsNone) {
  EXPECT_EQ(Fields(nullptr), "X-Client-Verified: NONE\r\n");
}

TEST(ClientCertificate, NothingInACertificateBecomesAnotherField) {
  const ClientIdentity client{"CN=a\r\nX-Admin: yes", std::string_view("b\0c", 3), "\x7f",
                              "\xc3\xa4"};
  EXPECT_EQ(
      Fields(&client),
      "X-Client-Verified: SUCCESS\r\nX-Client-Subject: CN=a\\0D\\0AX-Admin: yes\r\n"
      "X-Client-Issuer: b\\00c\r\nX-Client-Serial: \\7F\r\nX-Client-Fingerprint: \\C3\\A4\r\n");
}

TEST(ClientCertificate, WhatTheRouteSaysOfAFieldHolds) {
  HeaderEdits edits;
  edits.set = {{"x-client-subject", "nobody"}};
  edits.remove = {"X-CLIENT-SERIAL", "X-Client"};
  const uint8_t without = ClientFieldsOf(edits);
  const ClientIdentity client{"a", "b", "c", "d"};
  EXPECT_EQ(Fields(&client, without),
            "X-Client-Verified: SUCCESS\r\nX-Client-Issuer: b\r\nX-Client-Fingerprint: d\r\n");
}

TEST(ClientCertificate, NamesThatBackendsTakeForTheseAreForgeable) {
  const std::vector<std::string> names = ForgeableClientNames();
  EXPECT_EQ(names.size(), 20u);
  for (const char* name : {"X-Client-Subject", "X_Client_Subject", "X-Client_Subject",
                           "X_Client-Fingerprint", "X-Client-Verified"}) {
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
    EXPECT_TRUE(IsEditableName(name));
  }
}

}  // namespace
}  // namespace rondo::http
