// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

// One import for users of the library: everything but the command line.

@_exported public import ArbiterCore
@_exported public import ArbiterDevice
@_exported public import ArbiterMemory
@_exported public import ArbiterMetrics
@_exported public import ArbiterPersistence
@_exported public import ArbiterPlacement
@_exported public import ArbiterPlatform
@_exported public import ArbiterProfiler
@_exported public import ArbiterProfiles
@_exported public import ArbiterReport
@_exported public import ArbiterRuntime
@_exported public import ArbiterScheduler
@_exported public import ArbiterSimulator
@_exported public import ArbiterTiering
@_exported public import ArbiterWorkloads
