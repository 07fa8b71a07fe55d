// Overlays as values: what is laid over what, and how it is written. (Sequences of writes, reloads
// and restarts are in cluster_draw_test.cc.)
#include "control/overlay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rondo::control {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

config::Backend At(const std::string& address, const std::string& id = "") {
  config::Backend backend;
  backend.address = *SocketAddress::Parse(address);
  backend.id = id.empty() ? address : id;
  return backend;
}

config::Upstream Api(std::vector<config::Backend> backends) {
  config::Upstream upstream;
  upstream.name = "api";
  upstream.backends = std::move(backends);
  return upstream;
}

BackendEntry Entry(BackendEntry::Kind kind, const std::string& address) {
  BackendEntry entry;
  entry.kind = kind;
  entry.address = *SocketAddress::Parse(address);
  return entry;
}

std::vector<std::string> Ids(const Applied& applied) {
  std::vector<std::string> ids;
  for (const auto& upstream : applied.upstreams) {
    for (const auto& backend : upstream.backends) ids.push_back(backend.settings.id);
  }
  return ids;
}

TEST(Overlay, WhatIsFoundTwiceCountsOnceAndTheFilesComesFirst) {
  config::Upstream upstream = Api({At("10.0.0.1:80")});
  upstream.sources.resize(2);
  upstream.sources[0].kind = config::BackendSource::Kind::kDns;
  upstream.sources[1].kind = config::BackendSource::Kind::kFile;
  Discovered discovered;
  discovered["api"] = {{{{At("10.0.0.1:80"), At("10.0.0.2:80")}}, false},
                       {{{At("10.0.0.2:80"), At("10.0.0.3:80")}}, false}};
  const Applied applied = Apply({upstream}, discovered, {});
  EXPECT_THAT(Ids(applied), ElementsAre("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"));
  const auto& backends = applied.upstreams[0].backends;
  EXPECT_EQ(backends[0].origin, Origin::kConfig);
  EXPECT_EQ(backends[1].origin, Origin::kDns);
  EXPECT_EQ(backends[2].origin, Origin::kFile);
  EXPECT_FALSE(applied.upstreams[0].expecting);
}

TEST(Overlay, AnEntryIsAboutAnIdAtAnAddress) {
  Overlay overlay;
  auto& backends = overlay.upstreams["api"].backends;
  backends["a"] = Entry(BackendEntry::Kind::kRemoved, "10.0.0.1:80");
  backends["b"] = Entry(BackendEntry::Kind::kRemoved, "10.0.0.9:80");
  const Applied applied =
      Apply({Api({At("10.0.0.1:80", "a"), At("10.0.0.2:80", "b")})}, {}, overlay);
  EXPECT_THAT(Ids(applied), ElementsAre("b"));
  ASSERT_EQ(applied.ended.size(), 1u);
  EXPECT_EQ(applied.ended[0].backend, "b");
  EXPECT_EQ(applied.overlay.upstreams.at("api").backends.size(), 1u);
}

TEST(Overlay, OneAppliedAloneIsAsAmongTheOthers) {
  Overlay overlay;
  overlay.upstreams["api"].backends["x"] = Entry(BackendEntry::Kind::kAdded, "10.0.0.7:80");
  const config::Upstream base = Api({At("10.0.0.1:80")});
  const Applied all = Apply({base}, {}, overlay);
  const Applied one = ApplyOne("api", &base, {}, &overlay.upstreams["api"]);
  EXPECT_EQ(Ids(all), Ids(one));
  EXPECT_EQ(all.overlay, one.overlay);
  EXPECT_THAT(ApplyOne("none", nullptr, {}, nullptr).upstreams, IsEmpty());
}

TEST(Overlay, WhatIsWrittenStrictlyIsReadStrictly) {
  for (
      const char* text : {
          "",
          "[]",
          "{}",
          R"({"upstreams":[]})",
          R"({"upstreams":{},"more":1})",
          R"({"upstreams":{"a":{}}})",
          R"({"upstreams":{"a":{"deleted":"yes"}}})",
          R"({"upstreams":{"a":{"deleted":true,"written":{"backends":[]}}}})",
          R"({"upstreams":{"a":{"created":true}}})",
          R"({"upstreams":{"a":{"written":{"backends":[],"queeu":{}}}}})",
          R"({"upstreams":{"a":{"backends":{"b":{"kind":"added"}}}}})",
          R"({"upstreams":{"a":{"backends":{"b":{"kind":"new","address":"10.0.0.1:80"}}}}})",
          R"({"upstreams":{"a":{"backends":{"b":{"kind":"added","address":"10.0.0.1"}}}}})",
          R"({"upstreams":{"a":{"backends":{"b":{"kind":"added","address":"10.0.0.1:80","weight":0}}}}})",
          R"({"upstreams":{"a":{"backends":{"b":{"kind":"added","address":"10.0.0.1:80","weight":70000}}}}})",
          R"({"upstreams":{"a":{"backends":{"b":{"kind":"added","address":"10.0.0.1:80","state":"gone"}}}}})",
          R"({"upstreams":{"a":{"backends":{"b":{"kind":"added","address":"10.0.0.1:80","x":1}}}}})",
      }) {
    EXPECT_FALSE(OverlayFromJson(text).ok()) << text;
  }
  EXPECT_TRUE(OverlayFromJson(R"({"upstreams":{}})").ok());
}

}  // namespace
}  // namespace rondo::control
