#include "tls/sni_table.h"

#include <gtest/gtest.h>

#include <utility>

#include "tls/names.h"

namespace rondo::tls {
namespace {

class NamedPair final : public KeyPair {
 public:
  NamedPair(Kind kind, std::vector<std::string> names) : kind_(kind), names_(std::move(names)) {}
  Kind kind() const override { return kind_; }
  const std::vector<std::string>& names() const override { return names_; }
  const std::string& subject() const override { return text_; }
  const std::string& fingerprint() const override { return text_; }
  int64_t not_before() const override { return 0; }
  int64_t not_after() const override { return 0; }
  absl::StatusOr<int64_t> CheckOcsp(std::string_view) const override { return 0; }

 private:
  Kind kind_;
  std::vector<std::string> names_;
  std::string text_;
};

constexpr auto kEcdsa = KeyPair::Kind::kEcdsa;
constexpr auto kRsa = KeyPair::Kind::kRsa;
constexpr uint32_t kNone = CertificateSet::kNone;

CertificateSet Set(uint32_t ecdsa, uint32_t rsa) { return CertificateSet{{ecdsa, rsa, kNone}}; }

TEST(SniTable, FindsExactNamesThenOneLabelOfAStarThenTheDefault) {
  const NamedPair pairs[] = {
      {kEcdsa, {"first.example"}},
      {kEcdsa, {"*.example.com"}},
      {kRsa, {"*.example.com", "deep.sub.example.com"}},
      {kRsa, {"www.example.com"}},
      {kRsa, {"first.example", "more.example"}},
      {kRsa, {"www.example.com", "late.example"}},
      {kEcdsa, {"127.0.0.1"}},
  };
  std::vector<const KeyPair*> certificates;
  for (const NamedPair& pair : pairs) certificates.push_back(&pair);
  const SniTable table(certificates);
  const CertificateSet by_default = Set(0, 4);
  const struct {
    const char* name;
    CertificateSet set;
  } cases[] = {
      {"first.example", by_default},
      {"more.example", Set(kNone, 4)},
      {"www.example.com", Set(kNone, 3)},
      {"WWW.EXAMPLE.COM", Set(kNone, 3)},
      {"www.example.com.", Set(kNone, 3)},
      {"late.example", Set(kNone, 5)},
      {"other.example.com", Set(1, 2)},
      {"deep.sub.example.com", Set(kNone, 2)},
      {"other.sub.example.com", by_default},
      {"example.com", by_default},
      {".example.com", by_default},
      {"*.example.com", by_default},
      {"", by_default},
      {".", by_default},
      {"com", by_default},
      {"unknown.example", by_default},
      {"a..example.com", by_default},
      {"a b.example.com", by_default},
  };
  for (const auto& c : cases) EXPECT_EQ(table.Find(c.name).of, c.set.of) << c.name;
}

TEST(SniTable, TheDefaultTakesNobodyBesideItWithoutItsNames) {
  const NamedPair first(kEcdsa, {"a.example", "b.example"});
  const NamedPair fewer(kRsa, {"a.example"});
  EXPECT_EQ(SniTable({&first, &fewer}).default_set().of, Set(0, kNone).of);
  const NamedPair nameless(kEcdsa, {});
  EXPECT_EQ(SniTable({&nameless, &fewer}).default_set().of, Set(0, kNone).of);
}

TEST(HostName, IsInLowerCaseAndOfLettersThatHostsHave) {
  const struct {
    const char* name;
    const char* host;
  } cases[] = {{"A.Example", "a.example"},
               {"a_b-c.example.", "a_b-c.example"},
               {"a..b", ""},
               {".a", ""},
               {"a/b", ""},
               {"a\nb", ""},
               {"m\xc3\xbcnchen", ""},
               {"", ""},
               {"..", ""}};
  for (const auto& c : cases) EXPECT_EQ(HostName(c.name), c.host) << c.name;
  EXPECT_EQ(HostName(std::string(253, 'a')).size(), 253U);
  EXPECT_EQ(HostName(std::string(254, 'a')), "");
  EXPECT_TRUE(IsAddress("127.0.0.1"));
  EXPECT_TRUE(IsAddress("::1"));
  EXPECT_FALSE(IsAddress("example.com"));
  EXPECT_FALSE(IsAddress("127.0.0"));
}

}  // namespace
}  // namespace rondo::tls
