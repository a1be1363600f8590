// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// First-in-first-out lists of page numbers; a page is on one of them or on none.
///
/// Every operation takes constant time.
package struct PageLists: Sendable {
  private struct Link {
    var next: Int32 = -1
    var previous: Int32 = -1
    var list: Int8 = -1
  }

  private struct Ends {
    var first: Int32 = -1
    var last: Int32 = -1
    var count = 0
  }

  private var links: [Link] = []
  private var ends: [Ends]

  /// Makes empty lists.
  package init(listCount: Int) { ends = Array(repeating: Ends(), count: listCount) }

  /// Makes room for so many pages.
  package mutating func grow(to count: Int) {
    guard count > links.count else { return }
    links.append(contentsOf: repeatElement(Link(), count: count - links.count))
  }

  /// Pages of a list.
  package func count(of list: Int) -> Int { ends[list].count }

  /// The oldest page of a list.
  package func first(of list: Int) -> Int? { ends[list].first < 0 ? nil : Int(ends[list].first) }

  /// Takes the oldest page off a list.
  package mutating func popFirst(of list: Int) -> Int? {
    guard let page = first(of: list) else { return nil }
    remove(page)
    return page
  }

  /// Puts a page at the end of a list, taking it from where it was.
  package mutating func append(_ page: Int, to list: Int) {
    remove(page)
    links[page] = Link(next: -1, previous: ends[list].last, list: Int8(list))
    if ends[list].last >= 0 {
      links[Int(ends[list].last)].next = Int32(page)
    } else {
      ends[list].first = Int32(page)
    }
    ends[list].last = Int32(page)
    ends[list].count += 1
  }

  /// Takes a page from its list, if it is on one.
  package mutating func remove(_ page: Int) {
    let link = links[page]
    guard link.list >= 0 else { return }
    let list = Int(link.list)
    if link.previous >= 0 {
      links[Int(link.previous)].next = link.next
    } else {
      ends[list].first = link.next
    }
    if link.next >= 0 {
      links[Int(link.next)].previous = link.previous
    } else {
      ends[list].last = link.previous
    }
    ends[list].count -= 1
    links[page] = Link()
  }
}
