#include "app/ctl_events.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "app/ctl_command.h"
#include "app/ctl_views.h"

namespace rondo::app {
namespace {

using nlohmann::json;

// The server says something every 15 s.
constexpr Duration kQuietMax = std::chrono::seconds(45);
constexpr Duration kRetryAfter = std::chrono::seconds(1);

void PrintEvent(const CtlEvent& event, bool as_json) {
  const json data = json::parse(event.data, nullptr, false);
  std::string line;
  if (as_json) {
    json shown = {{"id", event.id}, {"type", event.type}};
    if (data.is_object()) shown["data"] = data;
    line = shown.dump(-1, ' ', false, json::error_handler_t::replace);
  } else {
    line = EventLine(event.type, data);
  }
  std::printf("%s\n", line.c_str());
  // Somebody may follow through a pipe.
  std::fflush(stdout);
}

}  // namespace

bool CtlEventReader::Feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    line_ += bytes.substr(0, end);
    if (end == std::string_view::npos) return true;
    bytes.remove_prefix(end + 1);
    if (line_.ends_with('\r')) line_.pop_back();
    const bool more = TakeLine(line_);
    line_.clear();
    if (!more) return false;
  }
  return true;
}

bool CtlEventReader::TakeLine(std::string_view line) {
  if (line.empty()) {
    const CtlEvent event = std::exchange(event_, {});
    if (!event.id.empty()) last_id_ = event.id;
    return event.data.empty() || on_event_(event);
  }
  const size_t colon = line.find(':');
  const std::string_view name = line.substr(0, colon);
  std::string_view value =
      colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "id") event_.id = value;
  if (name == "event") event_.type = value;
  if (name == "data") event_.data += (event_.data.empty() ? "" : "\n") + std::string(value);
  return true;  // a line that begins with a colon has no name: a comment
}

void CtlEventReader::Restart() {
  line_.clear();
  event_ = {};
}

int RunCtlEvents(CtlClient& client, const CtlArguments& arguments) {
  uint64_t shown = 0;
  CtlEventReader reader([&](const CtlEvent& event) {
    PrintEvent(event, arguments.json());
    return ++shown != arguments.count;
  });
  bool connected = false;  // it was, once: then what follows is a break, and not a wrong address
  bool told = false;       // of this break
  for (;;) {
    CtlRequest request = CtlRequestOf(arguments);
    request.accept = "text/event-stream";
    request.timeout = kQuietMax;
    const std::string after = reader.last_id().empty() ? arguments.after : reader.last_id();
    if (!after.empty()) request.fields.emplace_back("Last-Event-ID", after);
    reader.Restart();
    bool enough = false;
    const std::optional<CtlResponse> response = client.Stream(request, [&](std::string_view bytes) {
      connected = true;
      told = false;
      enough = !reader.Feed(bytes);
      return !enough;
    });
    if (enough) return kCtlOk;
    if (!connected || (response && response->status != 200)) {
      const int failed = CtlReport(client, response);
      return failed == kCtlOk ? kCtlFailed : failed;
    }
    std::fprintf(stderr,
                 "rondo ctl: the stream of events broke off; going on when Rondo is back\n");
    std::this_thread::sleep_for(kRetryAfter);
  }
}

}  // namespace rondo::app
