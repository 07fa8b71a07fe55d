#include "rondo/http/message.h"

namespace rondo::http {
namespace {

const Field* FindIn(const std::vector<Field>& fields, FieldSet known, FieldId id) {
  if (!known.Has(id)) return nullptr;
  for (const Field& field : fields) {
    if (field.id == id) return &field;
  }
  return nullptr;
}

// Everything back to its default, but for the capacity of `fields`.
template <typename Head>
void ClearHead(Head& head) {
  std::vector<Field> fields = std::move(head.fields);
  fields.clear();
  head = Head();
  head.fields = std::move(fields);
}

}  // namespace

const Field* RequestHead::Find(FieldId id) const { return FindIn(fields, known, id); }
const Field* ResponseHead::Find(FieldId id) const { return FindIn(fields, known, id); }
void RequestHead::Clear() { ClearHead(*this); }
void ResponseHead::Clear() { ClearHead(*this); }

}  // namespace rondo::http
