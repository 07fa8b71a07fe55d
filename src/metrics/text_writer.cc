#include "rondo/metrics/text_writer.h"

#include <charconv>
#include <chrono>
#include <cmath>

namespace rondo::metrics {
namespace {

// Digits that are needed to read back the same number, and no more.
void AppendNumber(double value, std::string& out) {
  if (std::isnan(value)) {
    out += "NaN";
    return;
  }
  if (std::isinf(value)) {
    out += value > 0 ? "+Inf" : "-Inf";
    return;
  }
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  out.append(text, end);
}

template <class Whole>
void AppendWhole(Whole value, std::string& out) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  out.append(text, end);
}

void AppendLabelValue(std::string_view value, std::string& out) {
  for (const char c : value) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '"') {
      out += "\\\"";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

double Seconds(Duration duration) { return std::chrono::duration<double>(duration).count(); }

std::string_view TypeName(TextWriter::Type type) {
  switch (type) {
    case TextWriter::Type::kCounter:
      return "counter";
    case TextWriter::Type::kGauge:
      return "gauge";
    case TextWriter::Type::kHistogram:
      return "histogram";
  }
  return "untyped";
}

}  // namespace

void TextWriter::Family(std::string_view name, Type type, std::string_view help) {
  family_ = name;
  out_.append("# HELP ").append(name).append(" ").append(help).append("\n");
  out_.append("# TYPE ").append(name).append(" ").append(TypeName(type)).append("\n");
}

void TextWriter::Begin(std::string_view suffix, Labels labels, std::string_view le) {
  out_.append(family_).append(suffix);
  char before = '{';
  for (const Label& label : labels) {
    out_ += before;
    out_.append(label.name).append("=\"");
    AppendLabelValue(label.value, out_);
    out_ += '"';
    before = ',';
  }
  if (!le.empty()) {
    out_ += before;
    out_.append("le=\"").append(le).append("\"");
    before = ',';
  }
  if (before == ',') out_ += '}';
  out_ += ' ';
}

void TextWriter::Sample(Labels labels, uint64_t value) {
  Begin("", labels, "");
  AppendWhole(value, out_);
  out_ += '\n';
}

void TextWriter::Sample(Labels labels, int64_t value) {
  Begin("", labels, "");
  AppendWhole(value, out_);
  out_ += '\n';
}

void TextWriter::Sample(Labels labels, double value) {
  Begin("", labels, "");
  AppendNumber(value, out_);
  out_ += '\n';
}

void TextWriter::WriteHistogram(Labels labels, std::span<const Duration> bounds,
                                std::span<const uint64_t> counts, uint64_t sum_ns) {
  uint64_t cumulated = 0;
  std::string le;
  for (size_t i = 0; i < counts.size(); ++i) {
    cumulated += counts[i];
    le.clear();
    if (i < bounds.size()) {
      AppendNumber(Seconds(bounds[i]), le);
    } else {
      le = "+Inf";
    }
    Begin("_bucket", labels, le);
    AppendWhole(cumulated, out_);
    out_ += '\n';
  }
  Begin("_sum", labels, "");
  AppendNumber(static_cast<double>(sum_ns) / 1e9, out_);
  out_ += '\n';
  Begin("_count", labels, "");
  AppendWhole(cumulated, out_);
  out_ += '\n';
}

}  // namespace rondo::metrics
