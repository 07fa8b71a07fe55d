#include "rondo/proxy/access_log.h"

#include <charconv>
#include <chrono>
#include <ctime>

#include "rondo/base/log.h"
#include "rondo/tls/handshake.h"

namespace rondo::proxy {

AccessLog::AccessLog(rt::Loop& loop, config::AccessLog::Format format, AccessLogSink* sink,
                     size_t worker)
    : loop_(loop), format_(format), sink_(sink), worker_(worker), timer_(&OnTimer, *this) {
  if (sink_ != nullptr) lines_.reserve(kOfferBytes * 2);
}

void AccessLog::Write(const AccessRecord& record) {
  if (sink_ == nullptr) return;
  if (lines_.size() > kHeldBytesMax) {
    ++dropped_;
    return;
  }
  switch (format_) {
    case config::AccessLog::kJson:
      AppendJson(record, lines_);
      break;
    case config::AccessLog::kCombined:
      AppendCombined(record, lines_);
      break;
  }
  if (lines_.size() >= kOfferBytes && sink_->Offer(worker_, lines_)) {
    timer_.Cancel();
    return;
  }
  if (!timer_.armed()) loop_.wheel().Arm(timer_, loop_.Now() + kOfferDelay);
}

bool AccessLog::Flush() {
  if (sink_ == nullptr || lines_.empty()) return true;
  if (sink_->Offer(worker_, lines_)) {
    timer_.Cancel();
    ReportDropped();
    return true;
  }
  loop_.wheel().Arm(timer_, loop_.Now() + kOfferDelay);
  return false;
}

// Once the log moves again; while it does not, nobody would read it.
void AccessLog::ReportDropped() {
  if (dropped_ == reported_) return;
  LogWarn("the access log fell behind: " + std::to_string(dropped_ - reported_) + " lines were dropped");
  reported_ = dropped_;
}

void AccessLog::OnTimer(io::Timer& timer) {
  static_cast<OfferTimer&>(timer).log.Flush();
}

namespace {

void AppendNumber(uint64_t value, std::string& out) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
  out.append(digits, static_cast<size_t>(end - digits));
}

void AppendPadded(int value, int width, std::string& out) {
  char digits[10];
  for (int i = width - 1; i >= 0; --i) {
    digits[i] = static_cast<char>('0' + value % 10);
    value /= 10;
  }
  out.append(digits, static_cast<size_t>(width));
}

// Milliseconds with three decimals.
void AppendMilliseconds(Duration duration, std::string& out) {
  const int64_t micros = std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  const uint64_t value = micros < 0 ? 0 : static_cast<uint64_t>(micros);
  AppendNumber(value / 1000, out);
  out.push_back('.');
  AppendPadded(static_cast<int>(value % 1000), 3, out);
}

std::tm ToUtc(WallTime at) {
  const std::time_t seconds = static_cast<std::time_t>(
      std::chrono::duration_cast<std::chrono::seconds>(at.time_since_epoch()).count());
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return utc;
}

// RFC 3339 in UTC with milliseconds.
void AppendTimestamp(WallTime at, std::string& out) {
  const std::tm utc = ToUtc(at);
  AppendPadded(utc.tm_year + 1900, 4, out);
  out.push_back('-');
  AppendPadded(utc.tm_mon + 1, 2, out);
  out.push_back('-');
  AppendPadded(utc.tm_mday, 2, out);
  out.push_back('T');
  AppendPadded(utc.tm_hour, 2, out);
  out.push_back(':');
  AppendPadded(utc.tm_min, 2, out);
  out.push_back(':');
  AppendPadded(utc.tm_sec, 2, out);
  out.push_back('.');
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(at.time_since_epoch()).count() % 1000;
  AppendPadded(static_cast<int>(millis), 3, out);
  out.push_back('Z');
}

// The length of the well-formed UTF-8 sequence at `text[0]`, or 0 (Unicode 15, table 3-7).
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const auto tail = [&](size_t i) { return i < text.size() && (byte(i) & 0xc0) == 0x80; };
  const uint8_t lead = byte(0);
  if (lead >= 0xc2 && lead <= 0xdf) return tail(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if (!tail(1) || !tail(2)) return 0;
    if (lead == 0xe0 && byte(1) < 0xa0) return 0;
    if (lead == 0xed && byte(1) > 0x9f) return 0;
    return 3;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (lead == 0xf0 && byte(1) < 0x90) return 0;
    if (lead == 0xf4 && byte(1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

constexpr char kHex[] = "0123456789abcdef";

enum class Escape : uint8_t { kJson, kCombined };

// The length of a character at `text[0]` that acts on terminals or ends lines though it is valid UTF-8: the C1
// controls (U+0080 to U+009F), U+2028 and U+2029; else 0.
size_t ControlLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  if (byte(0) == 0xc2 && text.size() > 1 && byte(1) >= 0x80 && byte(1) <= 0x9f) return 2;
  const bool separator = byte(0) == 0xe2 && text.size() > 2 && byte(1) == 0x80 && (byte(2) | 1) == 0xa9;
  return separator ? 3 : 0;
}

void AppendHex(uint8_t byte, std::string& out) {
  out.push_back(kHex[byte >> 4]);
  out.push_back(kHex[byte & 15]);
}

void AppendControl(std::string_view character, Escape how, std::string& out) {
  if (how == Escape::kCombined) {
    for (const char byte : character) AppendHex(static_cast<uint8_t>(byte), out.append("\\x"));
    return;
  }
  out.append(character.size() == 2 ? "\\u00" : "\\u20");
  // U+0080 to U+009F are their second byte, U+2028 and U+2029 0x20 less 0x80 of their third.
  const auto last = static_cast<uint8_t>(character.back());
  AppendHex(character.size() == 2 ? last : static_cast<uint8_t>(last - 0x80), out);
}

// Appends `text` so that it cannot end the string or the line it stands in. What is not UTF-8 is written as
// \u00XX in JSON (its bytes read as Latin-1) and \xXX in the combined format.
void AppendEscaped(std::string_view text, Escape how, std::string& out) {
  size_t plain = 0;
  for (size_t i = 0; i < text.size();) {
    const auto byte = static_cast<uint8_t>(text[i]);
    if (const size_t control = ControlLength(text.substr(i)); control > 0) {
      out.append(text.substr(plain, i - plain));
      AppendControl(text.substr(i, control), how, out);
      plain = i += control;
      continue;
    }
    size_t length = byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\' ? 1 : 0;
    if (byte >= 0x80) length = Utf8Length(text.substr(i));
    if (length > 0) {
      i += length;
      continue;
    }
    out.append(text.substr(plain, i - plain));
    if (how == Escape::kJson && (byte == '"' || byte == '\\')) {
      out.push_back('\\');
      out.push_back(static_cast<char>(byte));
    } else {
      AppendHex(byte, out.append(how == Escape::kJson ? "\\u00" : "\\x"));
    }
    plain = ++i;
  }
  out.append(text.substr(plain));
}

void AppendField(std::string_view name, std::string_view value, std::string& out) {
  out.append(",\"").append(name).append("\":\"");
  AppendEscaped(value, Escape::kJson, out);
  out.push_back('"');
}

void AppendNumberField(std::string_view name, uint64_t value, std::string& out) {
  out.append(",\"").append(name).append("\":");
  AppendNumber(value, out);
}

void AppendTimeField(std::string_view name, Duration value, std::string& out) {
  out.append(",\"").append(name).append("\":");
  AppendMilliseconds(value, out);
}

std::string_view ProtocolOf(const AccessRecord& record) {
  if (record.http2) return "HTTP/2.0";
  return record.version_minor == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

void AppendTls(const tls::HandshakeResult& tls, std::string& out) {
  const bool tls13 = tls.version == tls::Version::kTls13;
  out.append(",\"tls\":{\"version\":\"").append(tls13 ? "1.3" : "1.2").push_back('"');
  AppendField("cipher", tls.cipher, out);
  if (!tls.server_name.empty()) AppendField("sni", tls.server_name, out);
  if (!tls.alpn.empty()) AppendField("alpn", tls.alpn, out);
  if (tls.client != nullptr) AppendField("client", tls.client->subject, out);
  out.append(",\"resumed\":").append(tls.resumed ? "true" : "false").push_back('}');
}

}  // namespace

void AppendJson(const AccessRecord& record, std::string& out) {
  out.append("{\"time\":\"");
  AppendTimestamp(record.finished, out);
  out.push_back('"');
  AppendField("listener", record.listener, out);
  AppendField("client", record.client, out);
  AppendField("method", record.method, out);
  AppendField("target", record.target, out);
  AppendField("host", record.host, out);
  out.append(",\"protocol\":\"").append(ProtocolOf(record)).push_back('"');
  AppendNumberField("status", static_cast<uint64_t>(record.status), out);
  AppendField("request_id", record.request_id, out);
  AppendField("upstream", record.upstream, out);
  AppendField("backend", record.backend, out);
  AppendNumberField("retries", record.retries, out);
  AppendNumberField("received_bytes", record.received_bytes, out);
  AppendNumberField("sent_bytes", record.sent_bytes, out);
  AppendTimeField("queue_ms", record.queue, out);
  AppendTimeField("connect_ms", record.connect, out);
  if (record.first_byte >= Duration::zero()) {
    AppendTimeField("first_byte_ms", record.first_byte, out);
  }
  AppendTimeField("total_ms", record.total, out);
  if (!record.sticky.empty()) AppendField("sticky", record.sticky, out);
  AppendField("reason", record.reason, out);
  if (!record.detail.empty()) AppendField("detail", record.detail, out);
  if (record.tls != nullptr) AppendTls(*record.tls, out);
  AppendField("user_agent", record.user_agent, out);
  AppendField("referer", record.referer, out);
  out.append("}\n");
}

void AppendCombined(const AccessRecord& record, std::string& out) {
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::tm utc = ToUtc(record.finished);
  out.append(record.client).append(" - - [");
  AppendPadded(utc.tm_mday, 2, out);
  out.push_back('/');
  out.append(kMonths[utc.tm_mon]).push_back('/');
  AppendPadded(utc.tm_year + 1900, 4, out);
  out.push_back(':');
  AppendPadded(utc.tm_hour, 2, out);
  out.push_back(':');
  AppendPadded(utc.tm_min, 2, out);
  out.push_back(':');
  AppendPadded(utc.tm_sec, 2, out);
  out.append(" +0000] \"");
  if (record.method.empty()) {
    out.push_back('-');
  } else {
    AppendEscaped(record.method, Escape::kCombined, out);
    out.push_back(' ');
    AppendEscaped(record.target, Escape::kCombined, out);
    out.append(" ").append(ProtocolOf(record));
  }
  out.append("\" ");
  AppendNumber(static_cast<uint64_t>(record.status), out);
  out.push_back(' ');
  AppendNumber(record.sent_bytes, out);
  const auto quoted = [&out](std::string_view value) {
    out.append(" \"");
    if (value.empty()) {
      out.push_back('-');
    } else {
      AppendEscaped(value, Escape::kCombined, out);
    }
    out.push_back('"');
  };
  quoted(record.referer);
  quoted(record.user_agent);
  out.push_back('\n');
}

}  // namespace rondo::proxy
