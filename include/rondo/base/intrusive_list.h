// A doubly linked list through its elements: no allocation, O(1) removal of an element by itself.
// The list owns nothing. An element is in at most one list at a time for each hook it has.
#pragma once

#include "rondo/base/check.h"

namespace rondo {

// Base class of an element. `Tag` tells apart several hooks of one type.
template <class Tag = void>
class ListHook {
 public:
  ListHook() = default;
  ListHook(const ListHook&) = delete;
  ListHook& operator=(const ListHook&) = delete;
  ~ListHook() { RONDO_DCHECK(!linked()); }

  bool linked() const { return next_ != nullptr; }
  // Takes the element out of the list it is in; no effect where it is in none.
  void Unlink() {
    if (next_ == nullptr) return;
    prev_->next_ = next_;
    next_->prev_ = prev_;
    next_ = prev_ = nullptr;
  }

 private:
  template <class T, class U>
  friend class IntrusiveList;
  ListHook* next_ = nullptr;
  ListHook* prev_ = nullptr;
};

// `T` derives from ListHook<Tag>. Destroying a list that is not empty is a bug.
template <class T, class Tag = void>
class IntrusiveList {
  using Hook = ListHook<Tag>;

 public:
  IntrusiveList() { head_.next_ = head_.prev_ = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() {
    RONDO_DCHECK(empty());
    head_.next_ = head_.prev_ = nullptr;
  }

  bool empty() const { return head_.next_ == &head_; }
  T& front() { return *static_cast<T*>(head_.next_); }
  T& back() { return *static_cast<T*>(head_.prev_); }

  void PushBack(T& element) { InsertBefore(head_, element); }
  void PushFront(T& element) { InsertBefore(*head_.next_, element); }
  // REQUIRES: not empty.
  T& PopFront() {
    RONDO_DCHECK(!empty());
    T& element = front();
    static_cast<Hook&>(element).Unlink();
    return element;
  }
  // Moves all elements of `other` behind this list's own, in order.
  void Splice(IntrusiveList& other) {
    if (other.empty()) return;
    Hook* first = other.head_.next_;
    Hook* last = other.head_.prev_;
    other.head_.next_ = other.head_.prev_ = &other.head_;
    first->prev_ = head_.prev_;
    head_.prev_->next_ = first;
    last->next_ = &head_;
    head_.prev_ = last;
  }
  // Calls f(T&) for each element; f may unlink the element it is given.
  template <class F>
  void ForEach(F&& f) {
    for (Hook* hook = head_.next_; hook != &head_;) {
      Hook* next = hook->next_;
      f(*static_cast<T*>(hook));
      hook = next;
    }
  }

 private:
  static void InsertBefore(Hook& where, T& element) {
    Hook& hook = element;
    RONDO_DCHECK(!hook.linked());
    hook.prev_ = where.prev_;
    hook.next_ = &where;
    where.prev_->next_ = &hook;
    where.prev_ = &hook;
  }

  Hook head_;
};

}  // namespace rondo
