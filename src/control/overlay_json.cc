#include <nlohmann/json.hpp>
#include <utility>

#include "control/json_writer.h"
#include "control/overlay.h"
#include "rondo/config/edit.h"
#include "rondo/config/write.h"

namespace rondo::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kKindNames[] = {"added", "changed", "removed"};
constexpr std::string_view kHoldNames[] = {"up", "draining", "maintenance"};

void WriteEntry(const BackendEntry& entry, JsonWriter& json) {
  json.BeginObject();
  json.Key("kind").Text(kKindNames[static_cast<size_t>(entry.kind)]);
  json.Key("address").Text(entry.address.ToString());
  if (entry.weight) json.Key("weight").Number(*entry.weight);
  if (entry.max_connections) json.Key("max_connections").Number(*entry.max_connections);
  if (entry.backup) json.Key("backup").Bool(*entry.backup);
  if (entry.replaces) json.Key("replaces").Text(entry.replaces->ToString());
  if (entry.hold != Hold::kNone)
    json.Key("state").Text(kHoldNames[static_cast<size_t>(entry.hold)]);
  json.EndObject();
}

absl::Status Bad(std::string_view what) { return absl::InvalidArgumentError(std::string(what)); }

// Reads members of an object strictly: the first thing that is wrong is kept, what nobody asked for
// is wrong too.
class Fields {
 public:
  explicit Fields(const Json& json) : json_(json) {
    if (!json.is_object()) error_ = "an object was expected";
  }

  const Json* Find(std::string_view name) {
    if (!error_.empty()) return nullptr;
    const auto found = json_.find(name);
    if (found == json_.end()) return nullptr;
    ++seen_;
    return &*found;
  }
  bool Bool(std::string_view name) {
    const Json* value = Find(name);
    if (value == nullptr) return false;
    if (!value->is_boolean()) return Fail(name);
    return value->get<bool>();
  }
  void OptionalBool(std::string_view name, std::optional<bool>* out) {
    const Json* value = Find(name);
    if (value == nullptr) return;
    if (!value->is_boolean()) {
      Fail(name);
      return;
    }
    *out = value->get<bool>();
  }
  void Number(std::string_view name, uint32_t max, std::optional<uint32_t>* out) {
    const Json* value = Find(name);
    if (value == nullptr) return;
    if (!value->is_number_unsigned() || value->get<uint64_t>() > max) {
      Fail(name);
      return;
    }
    *out = value->get<uint32_t>();
  }
  void Address(std::string_view name, std::optional<SocketAddress>* out) {
    const Json* value = Find(name);
    if (value == nullptr) return;
    if (value->is_string()) *out = SocketAddress::Parse(value->get_ref<const std::string&>());
    if (!*out) Fail(name);
  }
  // The index of the text among `names`; `none` where the field is not there.
  template <size_t N>
  size_t OneOf(std::string_view name, const std::string_view (&names)[N], size_t none) {
    const Json* value = Find(name);
    if (value == nullptr) return none;
    for (size_t i = 0; i < N && value->is_string(); ++i) {
      if (value->get_ref<const std::string&>() == names[i]) return i;
    }
    Fail(name);
    return none;
  }
  bool Fail(std::string_view name) {
    if (error_.empty()) error_ = "`" + std::string(name) + "` is missing or wrong";
    return false;
  }
  absl::Status Done() const {
    if (!error_.empty()) return Bad(error_);
    if (seen_ != json_.size()) return Bad("there are unknown fields");
    return absl::OkStatus();
  }

 private:
  const Json& json_;
  size_t seen_ = 0;
  std::string error_;
};

absl::StatusOr<BackendEntry> EntryFromJson(const Json& json) {
  constexpr size_t kNone = 3;
  BackendEntry entry;
  Fields fields(json);
  const size_t kind = fields.OneOf("kind", kKindNames, kNone);
  std::optional<SocketAddress> address;
  fields.Address("address", &address);
  fields.Number("weight", 65535, &entry.weight);
  fields.Number("max_connections", UINT32_MAX, &entry.max_connections);
  fields.OptionalBool("backup", &entry.backup);
  fields.Address("replaces", &entry.replaces);
  entry.hold = static_cast<Hold>(fields.OneOf("state", kHoldNames, 0));
  if (kind == kNone) fields.Fail("kind");
  if (!address) fields.Fail("address");
  if (entry.weight && *entry.weight == 0) fields.Fail("weight");
  if (absl::Status done = fields.Done(); !done.ok()) return done;
  entry.kind = static_cast<BackendEntry::Kind>(kind);
  entry.address = *std::move(address);
  if (entry.kind == BackendEntry::Kind::kAdded) {
    entry.weight = entry.weight.value_or(1);
    entry.max_connections = entry.max_connections.value_or(0);
    entry.backup = entry.backup.value_or(false);
  }
  return entry;
}

absl::StatusOr<UpstreamEntry> UpstreamFromJson(const std::string& name, const Json& json) {
  UpstreamEntry entry;
  Fields fields(json);
  entry.deleted = fields.Bool("deleted");
  entry.created = fields.Bool("created");
  const Json* written = fields.Find("written");
  const Json* backends = fields.Find("backends");
  if (absl::Status done = fields.Done(); !done.ok()) return done;
  if (written != nullptr) {
    config::Parsed<config::Upstream> parsed = config::ParseUpstreamJson(name, written->dump(), "");
    if (!parsed.value)
      return Bad(parsed.errors.empty() ? "" : config::FormatFieldError(parsed.errors.front()));
    entry.written = *std::move(parsed.value);
  }
  if (backends != nullptr) {
    if (!backends->is_object()) return Bad("`backends` is not an object");
    for (const auto& [id, value] : backends->items()) {
      absl::StatusOr<BackendEntry> backend = EntryFromJson(value);
      if (!backend.ok())
        return Bad("backend " + id + ": " + std::string(backend.status().message()));
      entry.backends.emplace(id, *std::move(backend));
    }
  }
  if (entry.empty() || (entry.deleted && entry.written) || (entry.created && !entry.written)) {
    return Bad("it says nothing, or two things at once");
  }
  return entry;
}

}  // namespace

std::string OverlayToJson(const Overlay& overlay, config::Secrets secrets) {
  std::string text;
  JsonWriter json(text);
  json.BeginObject();
  json.Key("upstreams").BeginObject();
  for (const auto& [name, entry] : overlay.upstreams) {
    json.Key(name).BeginObject();
    if (entry.deleted) json.Key("deleted").Bool(true);
    if (entry.written) json.Key("written").Raw(config::WriteUpstreamJson(*entry.written, secrets));
    if (entry.created) json.Key("created").Bool(true);
    if (!entry.backends.empty()) {
      json.Key("backends").BeginObject();
      for (const auto& [id, backend] : entry.backends) {
        json.Key(id);
        WriteEntry(backend, json);
      }
      json.EndObject();
    }
    json.EndObject();
  }
  json.EndObject();
  json.EndObject();
  return text;
}

absl::StatusOr<Overlay> OverlayFromJson(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return Bad("it is not JSON");
  Fields fields(json);
  const Json* upstreams = fields.Find("upstreams");
  if (absl::Status done = fields.Done(); !done.ok()) return done;
  if (upstreams == nullptr || !upstreams->is_object())
    return Bad("`upstreams` is missing or wrong");
  Overlay overlay;
  for (const auto& [name, value] : upstreams->items()) {
    absl::StatusOr<UpstreamEntry> entry = UpstreamFromJson(name, value);
    if (!entry.ok()) return Bad("upstream " + name + ": " + std::string(entry.status().message()));
    overlay.upstreams.emplace(name, *std::move(entry));
  }
  return overlay;
}

}  // namespace rondo::control
