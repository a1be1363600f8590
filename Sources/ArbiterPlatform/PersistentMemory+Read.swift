// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

extension PersistentMemory {
  /// Reads what the tree shows.
  public static func read(from tree: SystemTree = SystemTree()) -> PersistentMemory {
    let folder = "/sys/bus/nd/devices"
    let names = tree.entries(folder)
    return PersistentMemory(
      regions: names.filter { isNumbered($0, "region") }.map { region(tree, folder, $0) },
      namespaces: names.filter { isNumbered($0, "namespace") }
        .compactMap { namespace(tree, folder, $0) },
      daxDevices: tree.entries("/sys/bus/dax/devices").filter { isNumbered($0, "dax") }
        .map { daxDevice(tree, "/sys/bus/dax/devices/\($0)", $0) },
      modules: names.filter { isNumbered($0, "nmem") }.map { module(tree, folder, $0) })
  }

  static func isNumbered(_ name: String, _ prefix: String) -> Bool {
    name.hasPrefix(prefix) && (name.dropFirst(prefix.count).first?.isNumber ?? false)
  }

  static func region(_ tree: SystemTree, _ folder: String, _ name: String) -> Region {
    let path = "\(folder)/\(name)"
    let domain = tree.text("\(path)/persistence_domain") ?? ""
    return Region(
      name: name, sizeBytes: tree.number("\(path)/size"), node: node(tree, path),
      moduleCount: tree.number("\(path)/mappings"),
      persistenceDomain: PersistenceDomain(rawValue: domain) ?? .unknown,
      hasFlushHints: tree.number("\(path)/deep_flush").map { $0 != 0 },
      hasDeepFlush: tree.text("\(path)/deep_flush") != nil, setCookie: setCookie(tree, path),
      mappings: mappings(tree, path), badBlocks: badBlocks(tree.text("\(path)/badblocks")))
  }

  /// Decimal or with 0x; 0 where a platform has no set.
  private static func setCookie(_ tree: SystemTree, _ path: String) -> UInt64? {
    guard let text = tree.text("\(path)/set_cookie") else { return nil }
    let cookie =
      text.hasPrefix("0x") ? UInt64(text.dropFirst(2), radix: 16) : UInt64(text, radix: 10)
    return cookie == 0 ? nil : cookie
  }

  /// The files mapping0, mapping1 and so on: module, offset, length and, in newer kernels, place.
  private static func mappings(_ tree: SystemTree, _ path: String) -> [Mapping] {
    tree.entries(path).filter { isNumbered($0, "mapping") }.compactMap { name in
      let parts = (tree.text("\(path)/\(name)") ?? "").split(separator: ",").map(String.init)
      guard let module = parts.first else { return nil }
      func number(_ index: Int) -> Int? { index < parts.count ? Int(parts[index]) : nil }
      return Mapping(
        module: module, offsetBytes: number(1), lengthBytes: number(2), position: number(3))
    }
  }

  /// Lines of a first sector and a count of sectors, of 512 bytes each.
  private static func badBlocks(_ text: String?) -> [BadBlocks]? {
    guard let text else { return nil }
    return text.split(separator: "\n").compactMap { line in
      let words = line.split(separator: " ").compactMap { Int($0) }
      guard words.count == 2, words[0] >= 0, words[1] > 0, words[0] < Int.max >> 10,
        words[1] < Int.max >> 10
      else { return nil }
      return BadBlocks(offsetBytes: words[0] * 512, lengthBytes: words[1] * 512)
    }
  }

  /// Source: Linux, drivers/acpi/nfit/core.c: nfit/handle is a hexadecimal number.
  private static func module(_ tree: SystemTree, _ folder: String, _ name: String) -> Module {
    let path = "\(folder)/\(name)/nfit"
    return Module(
      name: name, identifier: tree.text("\(path)/id"),
      unsafeShutdownCount: tree.number("\(path)/dirty_shutdown"),
      handle: tree.number("\(path)/handle").flatMap { UInt32(exactly: $0) })
  }

  private static func namespace(
    _ tree: SystemTree, _ folder: String, _ name: String
  )
    -> Namespace?
  {
    let path = "\(folder)/\(name)"
    let size = tree.number("\(path)/size")
    // The kernel keeps an empty seed namespace per region, from which the next one is made.
    if size == 0 { return nil }
    let holder = tree.text("\(path)/holder").flatMap { $0.isEmpty ? nil : $0 }
    let blockFolders = [path] + (holder.map { ["\(folder)/\($0)"] } ?? [])
    let block = blockFolders.lazy.compactMap { place in
      tree.entries("\(place)/block").first.map { (name: $0, path: "\(place)/block/\($0)") }
    }.first
    return Namespace(
      name: name, sizeBytes: size, node: node(tree, path),
      mode: mode(tree.text("\(path)/mode") ?? ""), blockDevice: block?.name,
      badBlocks: block.flatMap { badBlocks(tree.text("\($0.path)/badblocks")) },
      region: regionName(ofNamespace: name))
  }

  /// The kernel names namespaceR.I after region R.
  private static func regionName(ofNamespace name: String) -> String? {
    let number = name.dropFirst("namespace".count).prefix { $0.isNumber }
    return number.isEmpty ? nil : "region\(number)"
  }

  /// The kernel's words for the modes (drivers/nvdimm/namespace_devs.c) and ndctl's.
  private static func mode(_ word: String) -> Mode {
    switch word {
    case "memory", "fsdax": .fsdax
    case "dax", "devdax": .devdax
    case "safe", "sector": .sector
    case "raw": .raw
    default: .unknown
    }
  }

  private static func daxDevice(_ tree: SystemTree, _ path: String, _ name: String) -> DaxDevice {
    DaxDevice(
      name: name, sizeBytes: tree.number("\(path)/size"),
      alignmentBytes: tree.number("\(path)/align"),
      targetNode: tree.number("\(path)/target_node").flatMap { $0 < 0 ? nil : $0 },
      isSystemMemory: tree.linkTargetName("\(path)/driver") == "kmem",
      region: regionName(inDevicePath: tree.linkTarget(path) ?? ""))
  }

  static func node(_ tree: SystemTree, _ path: String) -> Int? {
    tree.number("\(path)/numa_node").flatMap { $0 < 0 ? nil : $0 }
  }
}
