#include "proxy_plan.h"

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"

namespace rondo::sim {

bool RequestPlan::idempotent() const {
  return idempotency_key || method == "GET" || method == "HEAD" || method == "PUT" ||
         method == "DELETE" || method == "OPTIONS" || method == "TRACE";
}

bool RequestPlan::is_clean() const {
  if (fault != ClientFault::kNone && fault != ClientFault::kHalfClose) return false;
  return std::all_of(answers.begin(), answers.end(), [](const AnswerPlan& answer) {
    // Who closes with the request unread endangers its own answer.
    const bool closes =
        answer.says_close || answer.minor_version == 0 || answer.body.mode == BodyMode::kUntilClose;
    if (answer.early && closes) return false;
    return answer.kind == AnswerKind::kWhole && !answer.closes_silently && !answer.extra_bytes;
  });
}

std::string RequestPlan::WriteHead() const {
  if (kind == RequestKind::kMalformed) return malformed;
  std::string head = absl::StrCat(method, " ", target, " HTTP/1.", minor_version,
                                  "\r\nHost: site.example\r\nX-Sim: ", number, "\r\n");
  if (kind == RequestKind::kUpgrade) {
    head += "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  } else if (minor_version == 0 && wants_keep_alive) {
    head += "Connection: keep-alive\r\n";
  } else if (minor_version == 1 && !wants_keep_alive) {
    head += "Connection: close\r\n";
  }
  if (expects_continue) head += "Expect: 100-continue\r\n";
  if (idempotency_key) absl::StrAppend(&head, "Idempotency-Key: ", number, "\r\n");
  if (padding > 0) absl::StrAppend(&head, "X-Pad: ", std::string(padding, 'p'), "\r\n");
  absl::StrAppend(&head, fields, WriteFraming(body), "\r\n");
  return head;
}

namespace {

std::string TextOf(const BodyPlan& body) {
  constexpr const char* kModes[] = {"none", "length", "chunked", "until_close"};
  return absl::StrCat(kModes[static_cast<int>(body.mode)], "=", body.bytes,
                      body.trailer ? "+trailer" : "");
}

std::string TextOf(const AnswerPlan& answer) {
  constexpr const char* kKinds[] = {"whole",  "close_at_once", "reset_at_once",
                                    "never",  "garbage",       "truncated",
                                    "resets", "stalls",        "unasked_101"};
  std::string text = absl::StrCat(" [", kKinds[static_cast<int>(answer.kind)], " ", answer.status,
                                  " 1.", answer.minor_version, " ", TextOf(answer.body));
  if (answer.kind != AnswerKind::kWhole) absl::StrAppend(&text, " cut=", answer.cut);
  if (answer.padding > 0) absl::StrAppend(&text, " padding=", answer.padding);
  if (answer.early) text += " early";
  if (answer.says_close) text += " says_close";
  if (answer.closes_silently) text += " closes_silently";
  if (answer.extra_bytes) text += " extra_bytes";
  if (answer.piece > 0) absl::StrAppend(&text, " piece=", answer.piece);
  if (answer.tunnel_cut != SIZE_MAX) absl::StrAppend(&text, " tunnel_cut=", answer.tunnel_cut);
  for (const int interim : answer.interims) absl::StrAppend(&text, " ", interim);
  return text + "]";
}

}  // namespace

std::string RequestPlan::ToString() const {
  std::string text = absl::StrCat(number, ": ", method, " 1.", minor_version, " ", TextOf(body));
  if (!wants_keep_alive) text += " closes";
  if (padding > 0) absl::StrAppend(&text, " padding=", padding);
  if (expects_continue) text += " expects";
  if (kind == RequestKind::kUpgrade) {
    absl::StrAppend(&text, " tunnel=", tunnel_bytes, " early=", tunnel_early,
                    " end=", static_cast<int>(tunnel_end));
  }
  if (fault != ClientFault::kNone) {
    absl::StrAppend(&text, " fault=", static_cast<int>(fault), " cut=", cut);
  }
  if (piece > 0) absl::StrAppend(&text, " piece=", piece);
  if (!malformed.empty())
    absl::StrAppend(&text, " ", malformed.substr(0, malformed.find("\r\n\r")));
  for (const AnswerPlan& answer : answers) text += TextOf(answer);
  return text;
}

RequestPlan* Scene::Find(const std::string& number) {
  if (number.empty() || number.find_first_not_of("0123456789") != std::string::npos) return nullptr;
  const size_t at = std::stoul(number);
  return at < requests.size() ? &requests[at] : nullptr;
}

void Scene::Report(std::string finding) {
  Note("FINDING: " + finding);
  if (findings.size() < 20) findings.push_back(std::move(finding));
}

void Scene::Note(const std::string& what) {
  if (!verbose) return;
  const double ms =
      std::chrono::duration<double, std::milli>(world.now().time_since_epoch()).count();
  std::fprintf(stderr, "%12.3f  %s\n", ms, what.c_str());
}

void Script::Send(std::string bytes, size_t piece, Duration pause) {
  if (piece == 0 || bytes.size() <= piece) {
    if (!bytes.empty()) steps_.push_back({Act::kSend, std::move(bytes), {}});
    return;
  }
  for (size_t at = 0; at < bytes.size(); at += piece) {
    steps_.push_back({Act::kSend, bytes.substr(at, piece), {}});
    Pause(pause);
  }
}

void Script::Run() {
  while (!steps_.empty() && !pausing_ && peer_.open()) {
    Step& step = steps_.front();
    switch (step.act) {
      case Act::kSend:
        peer_.Send(step.bytes);
        break;
      case Act::kPause:
        pausing_ = true;
        world_.After(step.pause, [this, alive = alive_] {
          if (!*alive) return;
          pausing_ = false;
          Run();
          if (done() && on_done) on_done();
        });
        break;
      case Act::kHold:
        return;
      case Act::kHalfClose:
        peer_.FinishSending();
        break;
      case Act::kClose:
        peer_.CloseWhenSent();
        break;
      case Act::kReset:
        if (peer_.unsent() > 0) return;  // on_sent runs this again
        peer_.Reset();
        break;
    }
    if (!steps_.empty()) steps_.pop_front();
  }
}

void Script::Release() {
  if (!holding()) return;
  steps_.pop_front();
  Run();
  if (done() && on_done) on_done();
}

}  // namespace rondo::sim
