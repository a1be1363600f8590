// swift-tools-version: 6.3
// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let package = Package(
  name: "durable-log",
  dependencies: [.package(name: "arbiter", path: "../../..")],
  targets: [
    .target(name: "DurableLog", dependencies: [.product(name: "Arbiter", package: "arbiter")]),
    .testTarget(
      name: "DurableLogTests",
      dependencies: [
        "DurableLog", .product(name: "ArbiterCrashTesting", package: "arbiter"),
      ]),
  ]
)
