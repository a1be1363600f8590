// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

/// e to the power of a number that is not positive, to about 1e-7.
///
/// Arithmetic alone, so that simulations give the same decisions with every C library.
package func exponential(_ value: Double) -> Double {
  guard value < 0 else { return 1 }
  guard value > -700 else { return 0 }
  let scaled = value * 1.442_695_040_888_963_4
  let whole = scaled.rounded(.down)
  let x = (scaled - whole) * 0.693_147_180_559_945_3
  let tail = 1 + x * (1 / 5.0 + x * (1 / 30.0 + x * (1 / 210.0 + x / 1680.0)))
  let series = 1 + x * (1 + x * (1 / 2.0 + x * (1 / 6.0 + x / 24.0 * tail)))
  return Double(sign: .plus, exponent: Int(whole), significand: series)
}
