#include "control/probe_http.h"

#include <algorithm>

#include "rondo/http/field.h"
#include "rondo/http/h1_parser.h"

namespace rondo::control {
void AppendField(std::string& to, std::string_view name, std::string_view value) {
  to.append(name).append(": ").append(value).append("\r\n");
}

bool Names(const config::HealthCheck& check, std::string_view name) {
  return std::any_of(check.headers.begin(), check.headers.end(), [name](const auto& field) {
    return http::EqualsIgnoreCase(field.first, name);
  });
}

std::string ProbeHost(const SocketAddress& address) {
  return address.kind == SocketAddress::Kind::kUnix ? "localhost" : address.ToString();
}

std::string CheckRequest(const config::HealthCheck& check, const SocketAddress& to,
                         std::string_view user_agent) {
  std::string bytes = check.method + " " + check.path + " HTTP/1.1\r\n";
  if (!Names(check, "Host"))
    AppendField(bytes, "Host", check.host.empty() ? ProbeHost(to) : check.host);
  if (!Names(check, "User-Agent")) AppendField(bytes, "User-Agent", user_agent);
  if (!Names(check, "Accept")) AppendField(bytes, "Accept", "*/*");
  for (const auto& [name, value] : check.headers) AppendField(bytes, name, value);
  // A POST without a body says so (RFC 9110 §8.6).
  if (check.method == "POST") AppendField(bytes, "Content-Length", "0");
  AppendField(bytes, "Connection", "close");
  return bytes + "\r\n";
}

std::string WarmUpRequest(const config::WarmUp& warm_up, std::string_view host,
                          const SocketAddress& to, std::string_view user_agent) {
  std::string bytes = "GET " + warm_up.path + " HTTP/1.1\r\n";
  AppendField(bytes, "Host", host.empty() ? ProbeHost(to) : std::string(host));
  AppendField(bytes, "User-Agent", user_agent);
  AppendField(bytes, "Accept", "*/*");
  return bytes + "\r\n";
}

ProbeAnswer::ProbeAnswer(const Wants& wants) : wants_(wants), search_(wants.text) {}

ProbeAnswer::Progress ProbeAnswer::Feed(char* bytes, size_t size) {
  if (!in_head_) {
    TakeBody(bytes, size);
  } else {
    head_.append(bytes, size);
    TakeHeads();
  }
  return progress_;
}

ProbeAnswer::Progress ProbeAnswer::End() {
  keep_alive_ = false;
  body_ended_ = true;
  if (!in_head_ && body_.CloseEndsBody()) return Decide(Progress::kDecided);
  return Decide(Progress::kCut);
}

// The first decision stays.
ProbeAnswer::Progress ProbeAnswer::Decide(Progress progress) {
  if (progress_ == Progress::kNeedMore) progress_ = progress;
  return progress_;
}

void ProbeAnswer::TakeHeads() {
  http::ResponseParser parser;
  http::ResponseHead head;
  while (progress_ == Progress::kNeedMore) {
    const http::HeadResult result =
        parser.Parse(head_, scanned_, http::HeadLimits{}, wants_.request_was_head, false, head);
    switch (result.status) {
      case http::HeadStatus::kNeedMore:
        scanned_ = result.scanned;
        return;
      case http::HeadStatus::kRefused:
        problem_ = result.refusal.what();
        Decide(Progress::kBad);
        return;
      case http::HeadStatus::kComplete:
        break;
    }
    scanned_ = 0;
    if (!head.interim()) {
      status_ = head.status;
      keep_alive_ = head.keep_alive;
      in_head_ = false;
      if (wants_.grpc) {
        for (const http::Field& field : head.fields) grpc_.AddField(field.name, field.value);
      }
      body_.Begin(head.framing, head.content_length, http::HeadLimits{}, 502);
      BeginBody(head_.data() + result.head_bytes, head_.size() - result.head_bytes);
      return;
    }
    if (++interims_ > kInterimMax) {
      problem_ = "too_many_interim_responses";
      Decide(Progress::kBad);
      return;
    }
    head_.erase(0, result.head_bytes);
  }
}

// The head is complete; `bytes` came behind it.
void ProbeAnswer::BeginBody(char* bytes, size_t size) {
  if (wants_.text.empty() && !wants_.whole_body) Decide(Progress::kDecided);
  TakeBody(bytes, size);
  head_ = std::string();
}

void ProbeAnswer::TakeBody(char* bytes, size_t size) {
  if (body_ended_) return;
  const http::BodyDecoder::Step step = body_.Decode(bytes, size);
  if (step.refusal) {
    keep_alive_ = false;
    body_ended_ = true;
    problem_ = step.refusal.what();
    Decide(Progress::kBad);
    return;
  }
  const size_t room = wants_.body_bytes_max - std::min(body_bytes_, wants_.body_bytes_max);
  search_.Feed({step.data, std::min(step.size, room)});
  body_bytes_ += step.size;
  if (wants_.grpc) grpc_.AddBody({step.data, step.size});
  if (step.done) {
    if (wants_.grpc) grpc_.AddTrailers(body_.trailers());
    body_ended_ = true;
    if (step.consumed < size) keep_alive_ = false;  // bytes that nobody asked for
    Decide(Progress::kDecided);
  } else if (!wants_.whole_body && body_bytes_ >= wants_.body_bytes_max) {
    body_ended_ = true;
    keep_alive_ = false;
    Decide(Progress::kDecided);
  } else if (!wants_.whole_body && search_.found()) {
    Decide(Progress::kDecided);
  }
}

}  // namespace rondo::control
