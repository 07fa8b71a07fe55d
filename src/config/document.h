// A configuration as a tree of the keys that it is written with, for YAML and JSON alike.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rondo/config/config.h"
#include "rondo/config/write.h"

namespace rondo::config {

using Document = nlohmann::ordered_json;

enum class Extent : uint8_t {
  kAll,          // every key, null for what is off
  kDifferences,  // only what is not at its default
};

Document DocumentOf(const Config& config, Extent extent);
Document DocumentOf(const Upstream& upstream, Extent extent);
Document DocumentOf(const Backend& backend, Extent extent);

// The map of one section while it is made.
class Fields {
 public:
  explicit Fields(Extent extent) : extent_(extent) {}

  // A required key, or one that is there for sure.
  void Add(std::string_view key, Document value) { map_[std::string(key)] = std::move(value); }
  // One with a default.
  void Put(std::string_view key, Document value, bool is_default) {
    if (!is_default || extent_ == Extent::kAll) Add(key, std::move(value));
  }
  // A text; empty means that the key is not written.
  void PutText(std::string_view key, const std::string& text) {
    if (text.empty()) {
      PutOff(key);
    } else {
      Add(key, text);
    }
  }
  // What is off.
  void PutOff(std::string_view key) {
    if (extent_ == Extent::kAll) Add(key, nullptr);
  }
  // A section; left out where nothing in it is written.
  void PutSection(std::string_view key, Fields section) {
    if (!section.map_.empty() || extent_ == Extent::kAll) Add(key, std::move(section.map_));
  }
  Extent extent() const { return extent_; }
  Document Take() { return std::move(map_); }

 private:
  Extent extent_;
  Document map_ = Document::object();
};

// Parts that several sections have, or that have a file of their own.
void PutNetworks(Fields& out, std::string_view key, const std::vector<Network>& networks);
void PutTls(Fields& out, const std::optional<ListenerTls>& tls);
void PutTls(Fields& out, const std::optional<AdminTls>& tls);
void PutTls(Fields& out, const std::optional<UpstreamTls>& tls);
void PutListenerLimits(Fields& out, const Listener& listener);
void PutRouteLimits(Fields& out, const RouteConfig& route);
std::string_view SendProxyName(SendProxy version);

// Values as they are written.
Document DurationOf(Duration duration);
Document SizeOf(uint64_t bytes);
Document PercentOf(uint32_t percent);
Document HashKeyOf(const HashKey& key);
Document TextsOf(const std::vector<std::string>& texts);
Document PairsOf(const std::vector<std::pair<std::string, std::string>>& pairs);

}  // namespace rondo::config
