// Lists of backends: literal addresses, and the sources that others come from.
#include <array>
#include <unordered_map>

#include "config/build.h"
#include "config/host_checks.h"
#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

using Kind = BackendSource::Kind;

constexpr std::string_view kBackendsPath = "upstreams.*.backends[]";
constexpr std::string_view kBackendExpected =
    "an address such as 10.0.1.10:3000 or, in quotes, \"[::1]:3000\"";
constexpr std::array<std::string_view, 4> kKindLeaves = {"address", "dns", "srv", "file"};

// One element of a list; after an error neither.
struct Element {
  std::optional<Backend> backend;
  std::optional<BackendSource> source;
};

Element PlaceElement(Context& context, const Text& text, BackendKinds kinds) {
  Checked<Place> place = CheckBackendPlace(text.value);
  if (!place.value) {
    context.AddError(text.where, ValueProblem("address", text.value, place.problem));
    return {};
  }
  if (!place.value->name.empty()) {
    if (kinds == BackendKinds::kLiterals) {
      context.AddError(
          text.where,
          ValueProblem("address", text.value,
                       "is a host name, whose backends come and go with its addresses: it belongs "
                       "in the upstream's own list; write an address here"));
      return {};
    }
    BackendSource source;
    source.id = Cat(place.value->name, ":", place.value->port);
    source.name = std::move(place.value->name);
    source.port = place.value->port;
    return {.backend = {}, .source = std::move(source)};
  }
  SocketAddress& address = place.value->address;
  if (address.kind == SocketAddress::Kind::kUnix && !address.path.starts_with('@')) {
    // Only its length can be wrong once the folder stands in front.
    Checked<SocketAddress> whole =
        CheckBackendAddress(Cat("unix:", context.ResolvePath(address.path)));
    if (!whole.value) {
      context.AddError(text.where, ValueProblem("address", text.value, whole.problem));
      return {};
    }
    address = std::move(*whole.value);
  }
  Backend backend;
  backend.id = address.ToString();
  backend.address = std::move(address);
  return {.backend = std::move(backend), .source = {}};
}

void ReadSourceName(const Section& section, std::string_view leaf, BackendSource& source) {
  ReadChecked(section, leaf, CheckHostName, source.name);
}

Element SourceElement(const Section& section, std::string_view leaf) {
  Context& context = section.context();
  BackendSource source;
  if (leaf == "dns") {
    source.kind = Kind::kDns;
    ReadSourceName(section, leaf, source);
    section.ReadWhole("port", source.port);
    if (section.Missing("port")) {
      context.AddError(section.where(),
                       "`dns` needs a `port`: write both, such as {dns: api, port: 3000}");
    }
  } else if (leaf == "srv") {
    source.kind = Kind::kSrv;
    ReadSourceName(section, leaf, source);
  } else {
    source.kind = Kind::kFile;
    const std::optional<Text> path = section.ReadText(leaf);
    if (path && path->value.empty()) {
      context.AddError(path->where, "`file` is empty: write a path, such as backends.yaml");
    }
    if (path) source.path = context.ResolvePath(path->value);
  }
  if (source.name.empty() && source.path.empty()) return {};
  return {.backend = {}, .source = std::move(source)};
}

void ReadId(const Section& section, std::string& id, bool& is_explicit) {
  const std::optional<Text> text = section.ReadText("id");
  if (!text || text->value == id) return;
  Checked<std::string> checked = CheckBackendId(text->value);
  if (!checked.value) {
    section.context().AddError(text->where, ValueProblem("id", text->value, checked.problem));
    return;
  }
  id = std::move(*checked.value);
  is_explicit = true;
}

template <class T>
void ReadShare(const Section& section, T& out) {
  section.ReadWhole("weight", out.weight);
  section.ReadBool("backup", out.backup);
  section.ReadWhole("max_connections", out.max_connections);
}

// Keys that mean nothing beside the one that says what the backend is.
void RefuseOtherKeys(const Section& section, std::string_view leaf) {
  const auto refuse = [&](std::string_view key, std::string_view why) {
    const Entry* entry = section.Find(key);
    if (entry == nullptr) return;
    section.context().AddError(entry->where,
                               Cat("`", key, "` has no meaning beside `", leaf, "`: ", why));
  };
  constexpr std::string_view kInRecords = "the SRV records say it";
  constexpr std::string_view kInFile = "write it in the file";
  if (leaf == "address") refuse("port", "write it behind the address, such as 10.0.1.10:3000");
  if (leaf != "address") refuse("id", "each of its backends has its address as id");
  if (leaf == "srv") {
    for (const std::string_view key : {"port", "weight", "backup"}) refuse(key, kInRecords);
  }
  if (leaf == "file") {
    for (const std::string_view key : {"port", "weight", "backup", "max_connections"}) {
      refuse(key, kInFile);
    }
  }
}

// The one key that says what the backend is; nothing after an error.
std::optional<std::string_view> KindOf(const Section& section, BackendKinds kinds) {
  Context& context = section.context();
  std::vector<std::string_view> written;
  bool is_missing = true;
  for (const std::string_view leaf : kKindLeaves) {
    if (section.Find(leaf) != nullptr) written.push_back(leaf);
    is_missing = is_missing && section.Missing(leaf);
  }
  if (written.size() > 1) {
    context.AddError(section.where(),
                     Cat("this backend has ", QuotedList(written, "and"), ": keep one of them"));
    return std::nullopt;
  }
  if (written.empty()) {
    if (is_missing) {
      context.AddError(
          section.where(),
          "this backend has no `address`: write one, such as {address: 10.0.1.10:3000}");
    }
    return std::nullopt;
  }
  const std::string_view leaf = written.front();
  if (leaf == "address" || kinds == BackendKinds::kAll) return leaf;
  context.AddError(section.Find(leaf)->where,
                   Cat("`", leaf,
                       "` can not stand here: it belongs in the upstream's own list; "
                       "write an `address`"));
  return std::nullopt;
}

Element MapElement(Context& context, const Node& node, BackendKinds kinds) {
  const Section section(context, kBackendsPath, node, node.mark);
  Backend unused;
  const std::optional<std::string_view> leaf = KindOf(section, kinds);
  if (!leaf) {
    ReadShare(section, unused);
    return {};
  }
  RefuseOtherKeys(section, *leaf);
  Element element;
  if (*leaf != "address") {
    element = SourceElement(section, *leaf);
  } else if (const std::optional<Text> text = section.ReadText("address")) {
    element = PlaceElement(context, *text, kinds);
    if (element.backend) ReadId(section, element.backend->id, element.backend->explicit_id);
    if (element.source) ReadId(section, element.source->id, element.source->explicit_id);
  }
  if (element.backend) {
    ReadShare(section, *element.backend);
  } else if (element.source) {
    ReadShare(section, *element.source);
  } else {
    ReadShare(section, unused);
  }
  return element;
}

// Which address, id or source stands on which line.
class Taken {
 public:
  explicit Taken(Context& context) : context_(context) {}

  // False, with an error, where something of the backend was there before.
  bool Add(const Backend& backend, SourceMark where) {
    const std::string address = backend.address.ToString();
    if (const int line = Take(Cat("address ", address), where.line); line >= 0) {
      AddError(where, Cat("backend ", Quoted(address)), line,
               "to send it more requests, raise its `weight`");
      return false;
    }
    return AddId(backend.id, where);
  }
  bool Add(const BackendSource& source, SourceMark where) {
    if (source.kind == Kind::kName) return AddId(source.id, where);
    const std::string_view kind = source.kind == Kind::kDns   ? "dns"
                                  : source.kind == Kind::kSrv ? "srv"
                                                              : "file";
    const std::string& name = source.kind == Kind::kFile ? source.path : source.name;
    if (const int line = Take(Cat(kind, " ", source.port, " ", name), where.line); line >= 0) {
      AddError(where, Cat("`", kind, "`: ", Quoted(name)), line, "remove one of them");
      return false;
    }
    return true;
  }

 private:
  bool AddId(const std::string& id, SourceMark where) {
    const int line = Take(Cat("id ", id), where.line);
    if (line < 0) return true;
    AddError(where, Cat("the id ", Quoted(id)), line, "give one of them another `id`");
    return false;
  }
  // The line that took it, or -1 where this is the first.
  int Take(std::string what, int line) {
    const auto [first, is_new] = lines_.emplace(std::move(what), line);
    return is_new ? -1 : first->second;
  }
  void AddError(SourceMark where, std::string_view what, int line, std::string_view remedy) {
    const std::string place = context_.OnLine(line);
    context_.AddError(where, Cat(what, " is in this list already", place.empty() ? "" : ",", place,
                                 ": ", remedy));
  }

  Context& context_;
  std::unordered_map<std::string, int> lines_;
};

}  // namespace

BackendList BuildBackendList(Context& context, const std::vector<const Node*>& nodes,
                             BackendKinds kinds) {
  BackendList list;
  Taken taken(context);
  for (const Node* node : nodes) {
    if (!context.Visit(node->mark)) return list;
    Element element;
    if (node->kind == Node::Kind::kMap) {
      element = MapElement(context, *node, kinds);
    } else if (const std::optional<Text> text =
                   ReadElement(context, *node, "backends", kBackendExpected)) {
      element = PlaceElement(context, *text, kinds);
    }
    if (element.backend && taken.Add(*element.backend, node->mark)) {
      list.backends.push_back(std::move(*element.backend));
    }
    if (element.source && taken.Add(*element.source, node->mark)) {
      element.source->where = {node->mark};
      list.sources.push_back(std::move(*element.source));
    }
  }
  return list;
}

void BuildBackends(const Section& section, Upstream& upstream) {
  Context& context = section.context();
  const std::optional<std::vector<const Node*>> nodes = section.ReadList("backends");
  if (!nodes) {
    if (section.Missing("backends")) {
      context.AddError(section.where(),
                       Cat("upstream ", Quoted(upstream.name),
                           " has no `backends`: write a list, such as [10.0.1.10:3000]"));
    }
    return;
  }
  BackendList list = BuildBackendList(context, *nodes, BackendKinds::kAll);
  upstream.backends = std::move(list.backends);
  upstream.sources = std::move(list.sources);
}

}  // namespace rondo::config
