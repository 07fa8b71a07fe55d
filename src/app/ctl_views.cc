#include "app/ctl_views.h"

#include <cmath>
#include <cstdio>
#include <ctime>
#include <vector>

#include "app/ctl_table.h"

namespace rondo::app {
namespace {

using nlohmann::json;
using Align = CtlTable::Align;

const json& MemberOf(const json& object, const char* key) {
  static const json nothing;
  if (!object.is_object()) return nothing;
  const auto it = object.find(key);
  return it == object.end() ? nothing : *it;
}

std::string CountOf(const json& object, const char* key) {
  return std::to_string(static_cast<int64_t>(std::llround(NumberOf(object, key))));
}

std::string LatencyOf(const json& object, const char* key) {
  const json& latency = MemberOf(object, "latency");
  return MemberOf(latency, key).is_number() ? MillisecondsText(NumberOf(latency, key))
                                            : std::string();
}

std::string Formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof(text), format, value);
  return text;
}

// Seconds from an RFC 3339 time in UTC until `now`; nothing for what is none.
std::string AgeOf(const std::string& since, WallTime now) {
  std::tm parts{};
  if (std::sscanf(since.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d", &parts.tm_year, &parts.tm_mon,
                  &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec) != 6) {
    return {};
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const double seconds = std::chrono::duration<double>(now.time_since_epoch()).count();
  return AgeText(seconds - static_cast<double>(timegm(&parts)));
}

std::string StatesText(const json& states) {
  std::string text;
  if (!states.is_object()) return text;
  for (const auto& [state, count] : states.items()) {
    if (!count.is_number()) continue;
    if (!text.empty()) text += ", ";
    text += CountOf(states, state.c_str()) + " " + state;
  }
  return text;
}

std::string ChangesText(const json& entry) {
  std::string text;
  for (const auto& [key, value] : entry.items()) {
    if (key == "kind" || key == "id" || key == "address" || value.is_null()) continue;
    text += " " + key + "=" + (value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

void DiffOfBackends(const std::string& upstream, const json& backends, std::string& out) {
  for (const auto& [id, entry] : backends.items()) {
    const std::string kind = TextOf(entry, "kind");
    const std::string sign = kind == "added" ? "+ " : kind == "removed" ? "- " : "~ ";
    const std::string address = TextOf(entry, "address");
    out += sign + upstream + "/" + id;
    if (!address.empty() && address != id) out += " at " + address;
    if (entry.is_object()) out += ChangesText(entry);
    out += "\n";
  }
}

}  // namespace

std::string TextOf(const json& object, const char* key) {
  const json& member = MemberOf(object, key);
  return member.is_string() ? member.get<std::string>() : std::string();
}

double NumberOf(const json& object, const char* key) {
  const json& member = MemberOf(object, key);
  return member.is_number() ? member.get<double>() : 0;
}

std::string StatusView(const json& status, const json& upstreams) {
  std::string first = "rondo " + TextOf(status, "version") + " (" + TextOf(status, "commit") +
                      "), up " + AgeText(NumberOf(status, "uptime_seconds")) + ", revision " +
                      CountOf(status, "revision") + ", " + TextOf(status, "engine") + " on " +
                      CountOf(status, "workers") + " workers";
  if (MemberOf(status, "stopping") == true) first += ", stopping";
  std::string out = Printable(first) + "\n" + CountOf(status, "connections") + " connections, " +
                    Formatted("%.1f requests/s, ", NumberOf(status, "requests_per_second")) +
                    Formatted("%.2f %% errors", NumberOf(status, "error_rate") * 100);
  for (const char* percentile : {"p50", "p95", "p99"}) {
    const std::string latency = LatencyOf(status, percentile);
    if (!latency.empty()) out += std::string(", ") + percentile + " " + latency;
  }
  CtlTable table({{"UPSTREAM"}, {"BACKENDS", Align::kRight}, {"STATES"}, {"SOURCE"}, {"NOTE"}});
  const json& list = MemberOf(upstreams, "upstreams");
  for (const json& upstream : list.is_array() ? list : json::array()) {
    std::string note;
    if (MemberOf(upstream, "removing") == true) note = "being deleted";
    if (MemberOf(upstream, "resolving") == true) note = "waits for names";
    if (note.empty() && MemberOf(upstream, "changed") == true) note = "changed by the API";
    table.Add({TextOf(upstream, "name"), std::to_string(MemberOf(upstream, "backends").size()),
               StatesText(MemberOf(upstream, "states")), TextOf(upstream, "source"), note});
  }
  return out + "\n\n" + table.Text();
}

std::string BackendsView(const json& list, WallTime now) {
  CtlTable table({{"BACKEND"},
                  {"ADDRESS"},
                  {"STATE"},
                  {"FOR", Align::kRight},
                  {"WEIGHT", Align::kRight},
                  {"IN FLIGHT", Align::kRight},
                  {"IDLE", Align::kRight},
                  {"REQUESTS", Align::kRight},
                  {"FAILURES", Align::kRight},
                  {"P50", Align::kRight},
                  {"P99", Align::kRight},
                  {"SOURCE"},
                  {"REASON"}});
  const json& backends = MemberOf(list, "backends");
  for (const json& backend : backends.is_array() ? backends : json::array()) {
    std::string state = TextOf(backend, "state");
    if (MemberOf(backend, "removing") == true) state += ", leaving";
    if (MemberOf(backend, "backup") == true) state += ", backup";
    table.Add({TextOf(backend, "id"), TextOf(backend, "address"), state,
               AgeOf(TextOf(backend, "since"), now), CountOf(backend, "weight"),
               CountOf(backend, "in_flight"), CountOf(MemberOf(backend, "connections"), "idle"),
               CountOf(backend, "requests"), CountOf(backend, "failures"),
               LatencyOf(backend, "p50"), LatencyOf(backend, "p99"), TextOf(backend, "source"),
               TextOf(backend, "reason")});
  }
  return table.Text();
}

std::string DiffView(const json& diff) {
  std::string out;
  const json& upstreams = MemberOf(diff, "upstreams");
  if (upstreams.is_object()) {
    for (const auto& [name, entry] : upstreams.items()) {
      if (MemberOf(entry, "deleted") == true) out += "- " + name + " (the whole upstream)\n";
      if (!MemberOf(entry, "written").is_null()) {
        const bool created = MemberOf(entry, "created") == true;
        out += (created ? "+ " : "~ ") + name +
               (created ? " (a new upstream)\n" : " (the whole upstream was replaced)\n");
      }
      DiffOfBackends(name, MemberOf(entry, "backends"), out);
    }
  }
  return out.empty() ? "nothing was changed beyond the file\n" : out;
}

std::string BackendSentence(const std::string& upstream, const json& backend) {
  std::string text = upstream + "/" + TextOf(backend, "id") + " is " + TextOf(backend, "state");
  const std::string reason = TextOf(backend, "reason");
  if (!reason.empty()) text += " (" + reason + ")";
  return Printable(text) + "\n";
}

std::string EventLine(const std::string& type, const json& data) {
  std::string line = TextOf(data, "at") + "  " + type;
  line.append(line.size() < 42 ? 42 - line.size() : 2, ' ');
  const std::string upstream = TextOf(data, "upstream");
  const std::string backend = TextOf(data, "backend");
  if (!upstream.empty()) line += upstream;
  if (!backend.empty()) line += "/" + backend;
  if (!upstream.empty()) line += "  ";
  if (data.is_object()) {
    bool first = true;
    for (const auto& [key, value] : data.items()) {
      if (key == "at" || key == "upstream" || key == "backend") continue;
      if (!first) line += ", ";
      first = false;
      const std::string text = value.is_string()
                                   ? value.get<std::string>()
                                   : value.dump(-1, ' ', false, json::error_handler_t::replace);
      line += key + " " + text;
    }
  }
  return Printable(line);
}

}  // namespace rondo::app
