// swift-tools-version: 6.3
// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .treatAllWarnings(as: .error),
]

let package = Package(
  name: "arbiter-benchmarks",
  dependencies: [.package(name: "arbiter", path: "..")],
  targets: [
    .target(name: "BenchmarkSupport", swiftSettings: strict),
    .executableTarget(
      name: "gate",
      dependencies: ["BenchmarkSupport", .product(name: "Arbiter", package: "arbiter")],
      swiftSettings: strict),
    .executableTarget(
      name: "shadow",
      dependencies: [
        "BenchmarkSupport", .product(name: "Arbiter", package: "arbiter"),
        .product(name: "ArbiterModel", package: "arbiter"),
      ], swiftSettings: strict),
    .executableTarget(
      name: "persist",
      dependencies: ["BenchmarkSupport", .product(name: "Arbiter", package: "arbiter")],
      swiftSettings: strict),
    .executableTarget(
      name: "crash-states",
      dependencies: [
        "BenchmarkSupport", .product(name: "Arbiter", package: "arbiter"),
        .product(name: "ArbiterCrashTesting", package: "arbiter"),
      ], swiftSettings: strict),
    .executableTarget(
      name: "run-startup",
      dependencies: ["BenchmarkSupport", .product(name: "Arbiter", package: "arbiter")],
      swiftSettings: strict),
    .target(name: "PlainKernels", path: "Sources/recording-kernels/plain"),
    // Compiled as Documentation/Recording.md says.
    .target(
      name: "HookedKernels", path: "Sources/recording-kernels/hooked",
      cSettings: [
        .unsafeFlags([
          "-fsanitize=thread", "-mllvm", "-tsan-instrument-func-entry-exit=0", "-mllvm",
          "-tsan-instrument-read-before-write=1",
        ])
      ]),
    .executableTarget(
      name: "recording",
      dependencies: [
        "PlainKernels", "HookedKernels", .product(name: "CArbiterRecord", package: "arbiter"),
        .product(name: "arbiter-hooks", package: "arbiter"),
      ],
      linkerSettings: [
        .linkedLibrary("m"),
        .unsafeFlags(
          ["memcpy", "memmove", "memset", "mmap", "mmap64", "munmap", "mremap"].flatMap {
            ["-Xlinker", "--wrap=\($0)"]
          }),
      ]),
    .executableTarget(
      name: "preload-cost", dependencies: [.product(name: "CArbiterGate", package: "arbiter")],
      linkerSettings: [.linkedLibrary("m")]),
    .executableTarget(name: "gups"),
    .executableTarget(
      name: "tier-overhead",
      dependencies: ["BenchmarkSupport", .product(name: "Arbiter", package: "arbiter")],
      swiftSettings: strict),
    .executableTarget(
      name: "tier-migrate", dependencies: [.product(name: "CArbiterTier", package: "arbiter")]),
    .executableTarget(name: "account-cost", linkerSettings: [.linkedLibrary("m")]),
    .executableTarget(
      name: "simulator-speed", dependencies: [.product(name: "ArbiterModel", package: "arbiter")],
      swiftSettings: strict),
  ]
)
