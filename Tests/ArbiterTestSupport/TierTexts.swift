// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// What sessions of tiering leave, as texts: for tests of those who read them.
public enum TierTexts {
  /// A note in which everything is known.
  public static func note(
    process: Int32, startTicks: UInt64, program: String = "redis-server",
    processes: [Int32] = [4801, 4802]
  ) -> String {
    """
    arbiter-tier-note 1
    process \(process)
    start_ticks \(startTicks)
    program \(program)
    time_ns 10000000000
    back_end file
    policy arbiter
    tracker timer
    sampling_period_ns 1000000
    fast_capacity_bytes 2147483648
    fast_bytes 2000000000
    slow_bytes 6000000000
    metadata_bytes 8000000
    managed_samples 9000
    samples 10000
    lost_samples 3
    promotions 700
    demotions 400
    promoted_bytes 1468006400
    demoted_bytes 838860800
    tracker_ns 90000000
    fast_hits 0.75 0.005
    recent_fast_hits 0.95 0.01
    refused_busy 12
    refused_full 1
    stalls 17 3400000 410000
    mover_ns 800000000
    placing_ns 90000000
    processes \(processes.map(String.init).joined(separator: ","))
    end

    """
  }

  /// A recording of 1,000 samples a second, nine of ten of them at the tenth of 16 chunks.
  ///
  /// Four chunks fit into fast memory and were put there; the hot one lay in slow memory, which is
  /// 400 ns away against 100, and stayed there.
  ///
  /// - Parameters:
  ///   - weight: What the samples' weights of 1,000,000 stand for.
  ///   - seconds: How long it is.
  /// - Returns: The recording, whole.
  public static func hotChunkRecording(
    weight: String = "nanoseconds", seconds: Int = 10
  ) -> String {
    let rates = { (tier: String) in
      "\(tier)_read_bytes_per_second=1e11 \(tier)_write_bytes_per_second=1e11"
    }
    var lines = [
      "arbiter-tier-1 fast_bytes=8388608 chunk_bytes=2097152 island_bytes=32768 "
        + "weight=\(weight) period_ns=1000000 fast_load_ns=100 fast_store_ns=100 "
        + "\(rates("fast")) slow_load_ns=400 slow_store_ns=400 \(rates("slow")) "
        + "migration_ns=10000 policy=first-touch tracker=timer back_end=file argument=a%20program"
    ]
    let all = String(UInt64.max, radix: 16)
    for chunk in 0..<16 {
      let address = String(UInt64(chunk + 1) << 21, radix: 16)
      lines.append("c 0 \(chunk) 1 \(address) \(chunk < 4 ? "0" : all) \(all) 1")
    }
    for step in 0..<1000 * seconds {
      let chunk = step % 10 == 0 ? step / 10 % 16 : 9
      lines.append("s \(step == 0 ? 0 : 1_000_000) \(chunk) \(step % 64) r 1000000")
    }
    return lines.map { $0 + "\n" }.joined() + "e 1000000\n"
  }
}
