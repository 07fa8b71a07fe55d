#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "rondo/tls/certificate.h"
#include "tls/key_pair.h"
#include "tls/test_certificates.h"

namespace rondo::tls {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class KeyPairTest : public ::testing::Test {
 protected:
  static std::string ErrorOf(std::string_view chain, std::string_view key) {
    const absl::StatusOr<std::shared_ptr<const KeyPair>> pair = KeyPair::Parse(chain, key);
    return pair.ok() ? "ok" : std::string(pair.status().message());
  }
  static std::shared_ptr<const KeyPair> Good(const TestPair& pair) {
    absl::StatusOr<std::shared_ptr<const KeyPair>> parsed = KeyPair::Parse(pair.cert, pair.key);
    EXPECT_TRUE(parsed.ok()) << parsed.status().message();
    return parsed.ok() ? *parsed : nullptr;
  }

  const TestAuthority root_{"Root"};
  const TestAuthority intermediate_ = root_.Intermediate("Between");
  const TestPair leaf_ = root_.Issue("a.example");
};

TEST_F(KeyPairTest, TakesEveryKindOfKeyThatClientsKnow) {
  const struct {
    TestKey key;
    KeyPair::Kind kind;
  } cases[] = {{TestKey::kEcdsa, KeyPair::Kind::kEcdsa},
               {TestKey::kEcdsa384, KeyPair::Kind::kEcdsa},
               {TestKey::kRsa, KeyPair::Kind::kRsa},
               {TestKey::kEd25519, KeyPair::Kind::kEd25519}};
  for (const auto& c : cases) {
    const std::shared_ptr<const KeyPair> pair = Good(root_.Issue("a.example", c.key));
    ASSERT_NE(pair, nullptr);
    EXPECT_EQ(pair->kind(), c.kind);
  }
}

TEST_F(KeyPairTest, SaysWhatTheLeafSays) {
  LeafOptions options;
  options.names = {"WWW.Example.com", "*.example.com", "www.example.com", "192.0.2.7",
                   "2001:db8::1"};
  options.common_name = "not this one";
  const int64_t now = time(nullptr);
  const std::shared_ptr<const KeyPair> pair = Good(root_.Issue(options));
  ASSERT_NE(pair, nullptr);
  EXPECT_THAT(pair->names(),
              ElementsAre("www.example.com", "*.example.com", "192.0.2.7", "2001:db8:0:0:0:0:0:1"));
  EXPECT_EQ(pair->subject(), "CN=not this one");
  EXPECT_EQ(pair->fingerprint().size(), 64U);
  EXPECT_NEAR(static_cast<double>(pair->not_before()), static_cast<double>(now - 3600), 5);
  EXPECT_NEAR(static_cast<double>(pair->not_after()), static_cast<double>(now + 24 * 3600), 5);
}

TEST_F(KeyPairTest, TakesTheCommonNameOnlyWhereThereAreNoOtherNames) {
  LeafOptions options;
  options.common_name = "Alone.example";
  options.alternative_names = false;
  EXPECT_THAT(Good(root_.Issue(options))->names(), ElementsAre("alone.example"));
  options.common_name = "a person's name";
  EXPECT_THAT(Good(root_.Issue(options))->names(), ElementsAre());
}

TEST_F(KeyPairTest, TakesAnExpiredCertificateAndSaysWhenItEnded) {
  LeafOptions options;
  options.not_before = -7200;
  options.not_after = -3600;
  EXPECT_LT(Good(root_.Issue(options))->not_after(), time(nullptr));
}

TEST_F(KeyPairTest, TakesKeysInEachFormAndFilesThatHoldBoth) {
  const TestPair rsa = root_.Issue("a.example", TestKey::kRsa);
  EXPECT_EQ(ErrorOf(rsa.cert, TraditionalKey(rsa)), "ok");
  EXPECT_EQ(ErrorOf(leaf_.cert, TraditionalKey(leaf_)), "ok");
  const std::string both = "a note\n" + leaf_.key + "\n" + leaf_.cert;
  EXPECT_EQ(ErrorOf(both, both), "ok");
  std::string crlf;
  for (const char c : leaf_.cert) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  EXPECT_EQ(ErrorOf(crlf, leaf_.key), "ok");
}

TEST_F(KeyPairTest, SendsIntermediatesButNotTheRoot) {
  const TestPair leaf = intermediate_.Issue("a.example");
  EXPECT_EQ(Parsed(*Good(leaf)).chain().size(), 2U);
  const TestPair whole{leaf.cert + root_.pem(), leaf.key};
  EXPECT_EQ(Parsed(*Good(whole)).chain().size(), 2U);
  // A root may be its own leaf.
  EXPECT_EQ(Parsed(*Good(leaf_)).chain().size(), 1U);
}

TEST_F(KeyPairTest, SaysWhichCertificateOfAChainIsOutOfPlace) {
  const TestPair leaf = intermediate_.Issue("a.example");
  const TestAuthority other("Other");
  const TestAuthority same_name("Root");
  const std::string only = LeafOnly(leaf);
  EXPECT_THAT(ErrorOf(intermediate_.pem() + only, leaf.key),
              HasSubstr("certificate 2 of the chain, \"CN=a.example\", did not issue the one "
                        "before it, \"CN=Between\""));
  EXPECT_THAT(ErrorOf(leaf.cert + other.pem(), leaf.key),
              HasSubstr("certificate 3 of the chain, \"CN=Other\", did not issue"));
  EXPECT_THAT(ErrorOf(only + root_.pem(), leaf.key), HasSubstr("certificate 2 of the chain"));
  EXPECT_THAT(ErrorOf(only + only, leaf.key), HasSubstr("is the same as the one before it"));
  // The name is right and the key is not.
  EXPECT_THAT(ErrorOf(leaf_.cert + same_name.pem(), leaf_.key), HasSubstr("did not issue"));
  std::string many = leaf_.cert;
  for (int i = 0; i < 16; ++i) many += root_.pem();
  EXPECT_THAT(ErrorOf(many, leaf_.key), HasSubstr("more than 16 certificates"));
}

TEST_F(KeyPairTest, SaysWhatIsWrongWithAPair) {
  const TestPair other = root_.Issue("b.example");
  std::string broken = leaf_.cert;
  broken[broken.find('\n') + 10] = '!';
  std::string bent = leaf_.cert;  // base64, but of something else
  bent.replace(bent.find('\n') + 1, 4, "AAAA");
  const std::string cut = leaf_.cert.substr(0, leaf_.cert.size() / 2);
  const std::string cut_key = leaf_.key.substr(0, leaf_.key.size() / 2);
  const TestPair rsa1024 = root_.Issue("a.example", TestKey::kRsa1024);
  const TestPair k1 = root_.Issue("a.example", TestKey::kEcdsaSecp256k1);
  const struct {
    std::string cert;
    std::string key;
    const char* says;
  } cases[] = {
      {"", leaf_.key, "no certificate was found"},
      {"hello", leaf_.key, "no certificate was found"},
      {leaf_.key, leaf_.key, "no certificate was found"},
      {broken, leaf_.key, "block 1 of the PEM text cannot be read: bad base64 decode"},
      {bent, leaf_.key, "certificate 1 is broken"},
      {cut, leaf_.key, "block 1 of the PEM text cannot be read"},
      {leaf_.cert + cut, leaf_.key, "block 2 of the PEM text cannot be read"},
      {leaf_.cert + "-----BEGIN CERTIFI", leaf_.key, "block 2 of the PEM text cannot be read"},
      {leaf_.cert, "", "no private key was found"},
      {leaf_.cert, leaf_.cert, "no private key was found"},
      {leaf_.cert, cut_key, "the key: block 1 of the PEM text cannot be read"},
      {leaf_.cert, leaf_.key + other.key, "more than one private key"},
      {leaf_.cert, other.key, "the private key is not that of the certificate \"CN=a.example\""},
      {leaf_.cert, EncryptedKey(leaf_, "secret"), "the private key is encrypted"},
      {leaf_.cert, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
       "the private key is broken"},
      {rsa1024.cert, rsa1024.key, "the certificate has an RSA key of 1024 bits"},
      {leaf_.cert, rsa1024.key, "the private key is an RSA key of 1024 bits"},
      {k1.cert, k1.key, "the certificate has a key on the curve secp256k1"},
  };
  for (const auto& c : cases) EXPECT_THAT(ErrorOf(c.cert, c.key), HasSubstr(c.says)) << c.says;
}

TEST_F(KeyPairTest, ReadsWhetherAnOcspAnswerFits) {
  const TestPair leaf = intermediate_.Issue("a.example");
  const TestPair other = intermediate_.Issue("b.example");
  const std::shared_ptr<const KeyPair> pair = Good(leaf);
  const absl::StatusOr<int64_t> next = pair->CheckOcsp(intermediate_.Ocsp(leaf));
  ASSERT_TRUE(next.ok()) << next.status().message();
  EXPECT_NEAR(static_cast<double>(*next), static_cast<double>(time(nullptr) + 3600), 5);
  EXPECT_EQ(*pair->CheckOcsp(intermediate_.Ocsp(leaf, TestOcsp::kGood, 0)), 0);

  const std::string good = intermediate_.Ocsp(leaf);
  const std::string refusal("\x30\x03\x0a\x01\x06", 5);  // "unauthorized"
  const struct {
    std::string der;
    const char* says;
  } cases[] = {
      {"", "not an OCSP answer"},
      {"text", "not an OCSP answer"},
      {good + "x", "not an OCSP answer"},
      {good.substr(0, good.size() - 1), "not an OCSP answer"},
      {refusal, "a refusal: unauthorized"},
      {intermediate_.Ocsp(other), "about another certificate"},
      {root_.Ocsp(leaf), "about another certificate"},
      {intermediate_.Ocsp(leaf, TestOcsp::kRevoked), "revoked"},
      {intermediate_.Ocsp(leaf, TestOcsp::kUnknown), "does not know"},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<int64_t> checked = pair->CheckOcsp(c.der);
    ASSERT_FALSE(checked.ok()) << c.says;
    EXPECT_THAT(std::string(checked.status().message()), HasSubstr(c.says));
  }
}

TEST_F(KeyPairTest, CountsAuthoritiesAndRevocationLists) {
  EXPECT_EQ(*CheckAuthorities(root_.pem() + intermediate_.pem()), 2U);
  EXPECT_EQ(*CheckRevocationLists(root_.Crl({}) + intermediate_.Crl({leaf_.cert})), 2U);
  std::string bent = root_.pem();
  bent.replace(bent.find('\n') + 1, 4, "AAAA");
  EXPECT_THAT(std::string(CheckAuthorities(root_.pem() + bent).status().message()),
              HasSubstr("certificate 2 is broken"));
  EXPECT_THAT(std::string(CheckAuthorities("").status().message()), HasSubstr("no certificate"));
  EXPECT_THAT(std::string(CheckRevocationLists(root_.pem()).status().message()),
              HasSubstr("no revocation list"));
  std::string bent_list = root_.Crl({});
  bent_list.replace(bent_list.find('\n') + 1, 4, "AAAA");
  EXPECT_THAT(std::string(CheckRevocationLists(bent_list).status().message()),
              HasSubstr("revocation list 1 is broken"));
}

}  // namespace
}  // namespace rondo::tls
