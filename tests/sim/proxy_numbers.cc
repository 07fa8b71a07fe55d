#include "proxy_numbers.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "rondo/metrics/backend_cell.h"

namespace rondo::sim {
namespace {

// Counts under names, as both sides tell them.
struct Numbers {
  std::map<std::string, uint64_t> answers;         // "listener upstream method status"
  std::map<std::string, uint64_t> reasons;         // "listener upstream reason"
  std::map<std::string, uint64_t> tunnel_reasons;  // not counted, but where the 101 was not sent
  std::map<std::string, uint64_t> bytes;           // "listener upstream received", "... sent"
};

// A field of a line, without its quotes. Quotes within texts are escaped.
std::string Field(std::string_view line, std::string_view name) {
  const std::string key = absl::StrCat("\"", std::string(name), "\":");
  size_t from = line.find(key);
  if (from == std::string_view::npos) return {};
  from += key.size();
  if (line[from] != '"')
    return std::string(line.substr(from, line.find_first_of(",}", from) - from));
  ++from;
  return std::string(line.substr(from, line.find('"', from) - from));
}

uint64_t Whole(const std::string& text) { return std::strtoull(text.c_str(), nullptr, 10); }

void TakeLine(std::string_view line, Numbers& numbers) {
  const std::string where = Field(line, "listener") + " " + Field(line, "upstream") + " ";
  const std::string status = Field(line, "status");
  const std::string method(metrics::MethodName(metrics::MethodOf(Field(line, "method"))));
  if (status != "0") ++numbers.answers[where + method + " " + status];
  const std::string reason = Field(line, "reason");
  if (!reason.empty()) {
    ++(status == "101" ? numbers.tunnel_reasons : numbers.reasons)[where + reason];
  }
  numbers.bytes[where + "received"] += Whole(Field(line, "received_bytes"));
  numbers.bytes[where + "sent"] += Whole(Field(line, "sent_bytes"));
}

Numbers OfWorkers(WorkerSpan workers) {
  Numbers numbers;
  for (const auto& worker : workers) {
    worker->traffic().ForEach([&numbers](const metrics::TrafficCells::Entry& entry) {
      const std::string where = entry.listener + " " + entry.upstream + " ";
      entry.cell.codes.ForEach([&](metrics::Method method, uint16_t code, uint64_t count) {
        const std::string name(metrics::MethodName(method));
        numbers.answers[where + name + " " + std::to_string(code)] += count;
      });
      entry.cell.rejected.ForEach([&](std::string_view reason, uint64_t count) {
        // There is no line for a connection that was not let in.
        if (reason == "connection_limit" || reason == "address_connection_limit") return;
        numbers.reasons[where + std::string(reason)] += count;
      });
      numbers.bytes[where + "received"] += entry.cell.received_bytes.value();
      numbers.bytes[where + "sent"] += entry.cell.sent_bytes.value();
    });
  }
  return numbers;
}

void Compare(Scene& scene, std::map<std::string, uint64_t> counted,
             const std::map<std::string, uint64_t>& logged) {
  for (const auto& [name, count] : logged) counted.try_emplace(name, 0);
  for (const auto& [name, count] : counted) {
    const auto found = logged.find(name);
    const uint64_t wanted = found == logged.end() ? 0 : found->second;
    if (count != wanted) {
      scene.Report(absl::StrCat("counted ", count, " of '", name, "', logged ", wanted));
    }
  }
}

}  // namespace

void CheckNumbers(Scene& scene, WorkerSpan workers, std::string_view log) {
  Numbers logged;
  while (!log.empty()) {
    const std::string_view line = log.substr(0, log.find('\n'));
    log.remove_prefix(line.size() + 1);
    if (line.front() != '{') return;
    TakeLine(line, logged);
  }
  Numbers counted = OfWorkers(workers);
  Compare(scene, counted.answers, logged.answers);
  Compare(scene, counted.bytes, logged.bytes);
  for (const auto& [name, count] : logged.tunnel_reasons) {
    uint64_t& both = logged.reasons[name];
    both = std::clamp(counted.reasons[name], both, both + count);
  }
  Compare(scene, counted.reasons, logged.reasons);
  for (const auto& worker : workers) {
    metrics::WindowCounts minute;
    worker->minute().AddTo(worker->loop().Now(), minute);
    uint64_t answers = 0;
    for (const auto& [name, count] : counted.answers) answers += count;
    if (minute.requests > answers) scene.Report("the last minute has more answers than there were");
  }
}

void CheckGauges(Scene& scene, WorkerSpan workers, BackendSpan backends) {
  int64_t connections = 0;
  for (const auto& worker : workers) {
    worker->traffic().ForEach([&connections](const metrics::TrafficCells::Entry& entry) {
      connections += entry.cell.connections.value();
    });
  }
  if (connections != 0) scene.Report(absl::StrCat(connections, " connections in the metrics"));
  for (const auto& backend : backends) {
    for (size_t worker = 0; worker < backend->workers(); ++worker) {
      const metrics::BackendCell* cell = backend->cell(worker);
      if (cell == nullptr) continue;
      uint64_t answers = 0;
      cell->codes.ForEach([&](metrics::Method, uint16_t, uint64_t count) { answers += count; });
      const bool odd =
          cell->idle.value() != 0 || cell->active.value() != 0 || answers > cell->requests.value();
      if (!odd) continue;
      scene.Report(absl::StrCat("backend ", backend->id, ": ", cell->idle.value(), " idle, ",
                                cell->active.value(), " active, ", answers, " answers to ",
                                cell->requests.value(), " requests"));
    }
  }
}

}  // namespace rondo::sim
