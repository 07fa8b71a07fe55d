// The TLS of the model: what files it needs, and what becomes of them when they are read.
#include "control/cluster.h"
#include "control/json_writer.h"
#include "control/members.h"
#include "rondo/base/log.h"
#include "rondo/config/edit.h"

namespace rondo::control {

std::string AllErrors(const std::vector<config::Error>& errors, const std::string& file) {
  std::string text;
  for (const config::Error& error : errors) {
    if (!text.empty()) text += '\n';
    text +=
        error.field.empty() ? config::FormatError(file, error) : config::FormatFieldError(error);
  }
  return text;
}

TlsWanted Cluster::Wanted(const config::Config& base, const Overlay& overlay) {
  TlsWanted wanted = WantedBy(base);
  for (const auto& [name, entry] : overlay.upstreams) {
    if (entry.written && entry.written->tls) wanted.upstreams.push_back(&*entry.written);
  }
  return wanted;
}

Result Cluster::PrepareTls(const TlsWanted& wanted) const {
  const TlsProblems problems = links_.PrepareTls(wanted);
  const std::string file = options_.config_path.empty() ? "configuration" : options_.config_path;
  if (!problems.errors.empty()) return Refuse(400, "invalid", AllErrors(problems.errors, file));
  for (const config::Error& warning : problems.warnings)
    LogWarn(config::FormatError(file, warning));
  return Done(200);
}

Result Cluster::PrepareTls(const config::Upstream& upstream) const {
  TlsWanted wanted;
  wanted.adds = true;
  wanted.upstreams.push_back(&upstream);
  const TlsProblems problems = links_.PrepareTls(wanted);
  if (problems.errors.empty()) return Done(200);
  return Refuse(400, "invalid", problems.errors.front().message, "tls");
}

void Cluster::CommitTls() {
  if (links_.CommitTls()) members_->TlsMoved();
  tls_problem_.clear();
}

Result Cluster::RefreshTls() {
  Result result = PrepareTls(Wanted(base_, state_.overlay));
  const bool repaired = result.ok() && !tls_problem_.empty();
  if (!result.ok() && result.message == tls_problem_) return result;
  const bool moved = result.ok() && links_.CommitTls();
  tls_problem_ = result.message;
  if (moved) {
    LogInfo("changed certificates and keys are used from now on");
    members_->TlsMoved();
    members_->Commit();
  } else if (!result.ok()) {
    LogError("certificates and keys stay as they were: " + result.message);
  }
  if (!moved && !repaired && result.ok()) return result;
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("result").Text(result.ok() ? "ok" : "failed");
  json.Key("message").Text(result.message);
  json.EndObject();
  events_.Append(EventType::kCertificates, data);
  changed_.NotifyAll();
  return result;
}

}  // namespace rondo::control
