// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

internal import ArbiterCore
internal import ArbiterDevice
internal import ArbiterScheduler

/// A store that a thread has asked a worker for.
struct DelegatedRequest {
  var access = Access(operation: .storeNonTemporal, address: 0, length: 64)
  var entered: Int64 = 0
  var owner: Int32 = 0
}

/// One ring of the delegation contract in virtual time.
struct SimulatedRing: ~Copyable {
  var requests: FixedQueue<DelegatedRequest>
  /// Places given to threads whose push is under way.
  var reservedCount = 0
  /// When the push that is under way ends; pushes exclude each other.
  var pushEnd: Int64 = 0
  /// Threads that found the ring full, in no promised order.
  var waiting: [Int32] = []

  init(slotCount: Int) {
    requests = FixedQueue(capacity: slotCount, filler: DelegatedRequest())
  }

  var hasRoom: Bool { requests.count + reservedCount < requests.capacity }
}

// The delegation contract (`DelegationParameters`) in virtual time.
extension Engine {
  private func ring(of index: Int) -> Int { index % rings.count }

  mutating func requestRing(_ index: Int) {
    let ring = ring(of: index)
    if rings[ring].hasRoom {
      startPush(index, ring)
    } else {
      rings[ring].waiting.append(Int32(truncatingIfNeeded: index))
      block(index, .ring, then: .enter)
    }
  }

  private mutating func startPush(_ index: Int, _ ring: Int) {
    rings[ring].reservedCount += 1
    let cost = TimeSpan.nanoseconds(delegation?.pushNanoseconds ?? 0).picoseconds
    let end = max(now, rings[ring].pushEnd) &+ jittered(cost)
    rings[ring].pushEnd = end
    threads[index].block = .nothing
    schedule(index, .pushed, at: end)
  }

  /// A request is in the ring; its thread goes on.
  mutating func requestPushed(_ index: Int) {
    let ring = ring(of: index)
    var access = threads[index].access
    access.address = threads[index].address
    note(.requested, index, locate(access.address).address)
    rings[ring].reservedCount -= 1
    rings[ring].requests.push(
      DelegatedRequest(
        access: access, entered: threads[index].entered,
        owner: Int32(truncatingIfNeeded: index)))
    threads[index].openRequests += Int(threads[index].linesLeft)
    threads[index].address &+= UInt64(access.length)
    threads[index].linesLeft = 0
    let worker = clientCount + ring
    if threads[worker].block == .ring {
      threads[worker].block = .nothing
      schedule(worker, .serve, at: now)
    }
    finishAccess(index, at: now)
  }

  /// A worker takes its next request and makes room for a thread that waits.
  mutating func serve(_ worker: Int) {
    let ring = worker - clientCount
    if rings[ring].requests.isEmpty {
      block(worker, .ring, then: .serve)
      return
    }
    let request = rings[ring].requests.pop()
    threads[worker].access = request.access
    threads[worker].address = request.access.address
    threads[worker].linesLeft = request.access.length >> 6
    threads[worker].entered = request.entered
    threads[worker].owner = request.owner
    let cost = TimeSpan.nanoseconds(delegation?.popNanoseconds ?? 0).picoseconds
    schedule(worker, .line, at: now &+ jittered(cost))
    let waiting = rings[ring].waiting.count
    if waiting > 0 {
      // Whoever happens to look first: a ring promises no fairness.
      let place = random.below(waiting)
      rings[ring].waiting.swapAt(place, waiting - 1)
      startPush(Int(rings[ring].waiting.removeLast()), ring)
    }
  }

  /// A worker's store for a thread was accepted.
  mutating func requestLineAccepted(_ owner: Int) {
    threads[owner].openRequests -= 1
    if threads[owner].openRequests == 0 && threads[owner].block == .request {
      threads[owner].block = .nothing
      schedule(owner, .fence, at: now)
    }
  }
}
