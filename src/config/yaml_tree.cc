#include "config/yaml_tree.h"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

// Ends the parse from inside the library's callbacks; caught in ParseYaml.
struct Refused : std::exception {
  Refused(SourceMark where_in, std::string message_in)
      : where(where_in), message(std::move(message_in)) {}
  SourceMark where;
  std::string message;
};

// Turns byte positions into lines and columns that count characters.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {
    starts_.push_back(0);
    size_t characters = 0;
    for (size_t i = 0; i < text.size(); ++i) {
      if (i % kBlock == 0) characters_before_.push_back(characters);
      if (IsCharacterStart(text[i])) ++characters;
      if (text[i] == '\n') starts_.push_back(i + 1);
    }
  }

  SourceMark At(size_t line, size_t byte_column) const {
    line = std::min(line, starts_.size() - 1);
    const size_t start = starts_[line];
    const size_t end = start + std::min(byte_column, Line(line).size());
    return {.line = static_cast<int>(line) + 1,
            .col = static_cast<int>(CharactersBefore(end) - CharactersBefore(start)) + 1};
  }
  SourceMark At(size_t offset) const {
    const auto next = std::upper_bound(starts_.begin(), starts_.end(), offset);
    const auto line = static_cast<size_t>(next - starts_.begin()) - 1;
    return At(line, offset - starts_[line]);
  }
  // The library counts from 0, and uses -1 for "nowhere".
  SourceMark At(const YAML::Mark& mark) const {
    return At(static_cast<size_t>(std::max(mark.line, 0)),
              static_cast<size_t>(std::max(mark.column, 0)));
  }
  // What begins at the mark.
  std::string_view From(const YAML::Mark& mark) const {
    const auto line = std::min(static_cast<size_t>(std::max(mark.line, 0)), starts_.size() - 1);
    return text_.substr(
        std::min(starts_[line] + static_cast<size_t>(std::max(mark.column, 0)), text_.size()));
  }
  std::string_view Line(size_t index) const {
    const size_t end = index + 1 < starts_.size() ? starts_[index + 1] : text_.size();
    return text_.substr(starts_[index], end - starts_[index]);
  }

 private:
  // A line may be the whole file, so its beginning is not counted again for each value in it.
  static constexpr size_t kBlock = 64;

  static bool IsCharacterStart(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }
  size_t CharactersBefore(size_t offset) const {
    if (characters_before_.empty()) return 0;
    const size_t block = std::min(offset / kBlock, characters_before_.size() - 1);
    size_t characters = characters_before_[block];
    for (size_t i = block * kBlock; i < offset; ++i)
      characters += IsCharacterStart(text_[i]) ? 1 : 0;
    return characters;
  }

  std::string_view text_;
  std::vector<size_t> starts_;
  std::vector<size_t> characters_before_;  // for every kBlock bytes
};

// Whether the quoted scalar that `text` begins with (behind anchors) has its closing quote: at the
// end of a file the library supplies a missing one in silence. True for scalars that are not
// quoted.
bool IsClosed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  while (text.starts_with('&') || text.starts_with('!')) {
    text.remove_prefix(std::min(text.find_first_of(kBlank), text.size()));
    text.remove_prefix(std::min(text.find_first_not_of(kBlank), text.size()));
  }
  if (text.starts_with('\'')) {
    // A doubled quote stands for itself.
    for (size_t i = 1; i < text.size(); ++i) {
      if (text[i] != '\'') continue;
      if (i + 1 >= text.size() || text[i + 1] != '\'') return true;
      ++i;
    }
    return false;
  }
  if (!text.starts_with('"')) return true;
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return true;
    }
  }
  return false;
}

class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(Tree& tree, const Lines& lines) : tree_(tree), lines_(lines) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (tree_.root != nullptr) {
      throw Refused(lines_.At(mark),
                    "a second YAML document begins here (by `---`, or by a line indented less than "
                    "the first): a configuration is one document");
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(Node::Kind::kNull, mark, "", anchor);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node& node = Add(Node::Kind::kScalar, mark, tag, anchor);
    if (!IsClosed(lines_.From(mark)))
      throw Refused(node.mark, "not valid YAML: this quoted text is not closed");
    node.text = value;
    node.quoted = tag == "!";
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end())
      throw Refused(lines_.At(mark), "this alias has no anchor before it");
    if (std::find(open_.begin(), open_.end(), found->second) != open_.end()) {
      throw Refused(lines_.At(mark), "this alias stands inside the value that it repeats");
    }
    Attach(found->second);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    Open(Node::Kind::kList, mark, tag, anchor);
  }
  void OnSequenceEnd() override { open_.pop_back(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    Open(Node::Kind::kMap, mark, tag, anchor);
  }
  void OnMapEnd() override {
    CheckKeys(*open_.back());
    open_.pop_back();
  }

  // The list or map that was being read last; nothing at the top.
  const Node* innermost() const { return open_.empty() ? nullptr : open_.back(); }

 private:
  Node& Add(Node::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    const SourceMark where = lines_.At(mark);
    // "?" and "!" are what the library says of plain and of quoted scalars.
    if (!tag.empty() && tag != "?" && tag != "!") {
      throw Refused(where, "tags (`!...`) are not used in a configuration: remove it");
    }
    if (tree_.nodes.size() >= kNodesMax) {
      throw Refused(where, Cat("more than ", kNodesMax, " values: a configuration is smaller"));
    }
    Node& node = tree_.nodes.emplace_back();
    node.kind = kind;
    node.mark = where;
    if (anchor != YAML::NullAnchor) anchors_[anchor] = &node;
    Attach(&node);
    return node;
  }
  void Attach(const Node* node) {
    if (open_.empty()) {
      tree_.root = node;
    } else {
      open_.back()->children.push_back(node);
    }
  }
  void Open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag,
            YAML::anchor_t anchor) {
    Node& node = Add(kind, mark, tag, anchor);
    if (open_.size() >= static_cast<size_t>(kDepthMax)) {
      throw Refused(node.mark, Cat("nested more than ", kDepthMax, " levels deep"));
    }
    open_.push_back(&node);
  }
  void CheckKeys(const Node& map) {
    std::unordered_map<std::string_view, const Node*> seen;
    for (size_t i = 0; i + 1 < map.children.size(); i += 2) {
      const Node& key = *map.children[i];
      if (key.kind != Node::Kind::kScalar) {
        AddError(key.mark, "a key must be a plain word");
        continue;
      }
      const auto [entry, is_new] = seen.emplace(key.text, &key);
      if (is_new) continue;
      AddError(key.mark, Cat(Quoted(key.text), " is written twice: first on line ",
                             entry->second->mark.line, "; remove one of them"));
    }
  }
  void AddError(SourceMark where, std::string message) {
    tree_.errors.push_back({.line = where.line, .col = where.col, .message = std::move(message)});
  }

  Tree& tree_;
  const Lines& lines_;
  std::vector<Node*> open_;
  std::unordered_map<YAML::anchor_t, const Node*> anchors_;
};

Tree SyntaxError(SourceMark where, std::string message) {
  Tree tree;
  tree.syntax_error = true;
  tree.errors.push_back({.line = where.line, .col = where.col, .message = std::move(message)});
  return tree;
}

bool IndentedByTab(std::string_view line) {
  const size_t content = line.find_first_not_of(" \t");
  return line.substr(0, content).find('\t') != std::string_view::npos;
}

struct Wording {
  std::string_view library;
  std::string_view ours;
};
// What the library says of common mistakes, for people who do not know its grammar.
const Wording kWordings[] = {
    {YAML::ErrorMsg::END_OF_MAP, "the next key was expected here: check indentation and quotes"},
    {YAML::ErrorMsg::END_OF_SEQ, "the next `- ` of the list was expected here: check indentation"},
    {YAML::ErrorMsg::END_OF_MAP_FLOW, "this `{` is not closed: `,` or `}` was expected"},
    {YAML::ErrorMsg::END_OF_SEQ_FLOW, "this `[` is not closed: `,` or `]` was expected"},
    {YAML::ErrorMsg::MAP_VALUE, "no `:` was expected here: check indentation, or quote the text"},
    {YAML::ErrorMsg::EOF_IN_SCALAR, "a quoted text is not closed before the end of the file"},
    {YAML::ErrorMsg::UNKNOWN_TOKEN, "no text begins with this character: quote it"},
    {YAML::ErrorMsg::FLOW_END, "this bracket closes nothing: remove it"},
};

// The library says what it missed; the line often tells what was meant.
std::string SyntaxMessage(const YAML::Exception& error, const Lines& lines, SourceMark where) {
  std::string_view said = error.msg;
  for (const Wording& wording : kWordings) {
    if (said == wording.library) said = wording.ours;
  }
  const std::string message = Cat("not valid YAML: ", said);
  const auto index = static_cast<size_t>(where.line - 1);
  const std::string_view line = lines.Line(index);
  if (IndentedByTab(line) || (index > 0 && IndentedByTab(lines.Line(index - 1)))) {
    return Cat(message, "; a tab cannot indent: use spaces");
  }
  if (line.find("${") != std::string_view::npos) {
    return Cat(message, "; inside [ ] and { } write \"${NAME}\" in quotes");
  }
  if (line.find("]:") != std::string_view::npos) {
    return Cat(message, "; an IPv6 address needs quotes, such as \"[::1]:8080\"");
  }
  return message;
}

Tree SyntaxErrorOf(const YAML::Exception& error, const Lines& lines, const Node* innermost) {
  SourceMark where = lines.At(error.mark);
  // The library finds an open bracket at the end of the file, or nowhere; the place to look is its
  // beginning.
  const bool is_open_bracket =
      error.msg == YAML::ErrorMsg::END_OF_MAP_FLOW || error.msg == YAML::ErrorMsg::END_OF_SEQ_FLOW;
  if (is_open_bracket && innermost != nullptr) where = innermost->mark;
  return SyntaxError(where, SyntaxMessage(error, lines, where));
}

std::optional<Tree> RefuseText(std::string_view text, const Lines& lines) {
  if (text.size() > kFileBytesMax) {
    return SyntaxError({}, Cat("larger than ", FormatSize(kFileBytesMax), ": not a configuration"));
  }
  const std::optional<size_t> invalid = FirstInvalidUtf8(text);
  const std::optional<size_t> control = FirstForbiddenControl(text);
  if (control && (!invalid || *control < *invalid)) {
    return SyntaxError(lines.At(*control),
                       text[*control] == '\0' ? "a NUL byte: the file must be UTF-8 text"
                                              : "a control character: the file must be plain text");
  }
  if (invalid) return SyntaxError(lines.At(*invalid), "not UTF-8: save the file in that encoding");
  return std::nullopt;
}

}  // namespace

Tree ParseYaml(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // a byte order mark
  const Lines lines(text.size() > kFileBytesMax ? std::string_view() : text);
  if (std::optional<Tree> refused = RefuseText(text, lines)) return std::move(*refused);
  Tree tree;
  TreeBuilder builder(tree, lines);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const Refused& refused) {
    return SyntaxError(refused.where, refused.message);
  } catch (const YAML::Exception& error) {
    return SyntaxErrorOf(error, lines, builder.innermost());
  } catch (const std::exception& error) {
    return SyntaxError({}, Cat("not readable as YAML: ", error.what()));
  }
  return tree;
}

}  // namespace rondo::config
