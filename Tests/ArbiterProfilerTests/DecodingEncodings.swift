// Part of Arbiter. See LICENSE.
// SPDX-License-Identifier: Apache-2.0

import CArbiterDecode
import CArbiterSampling

/// An instruction, its bytes, and what it does to memory with the registers of ``DecodingState``.
struct Encoding: Sendable, CustomStringConvertible {
  /// In the assembler's Intel syntax.
  let text: String
  let bytes: [UInt8]
  let accesses: [DecodedAccess]
  /// Why there is no access.
  let reason: UnresolvedReason
  /// Whether string instructions go down.
  let goesDown: Bool
  let isString: Bool

  init(
    _ text: String, _ hexadecimal: String, _ accesses: [DecodedAccess] = [],
    because reason: UnresolvedReason = .none, down: Bool = false, isString: Bool = false
  ) {
    self.text = text
    bytes = hexadecimal.hexadecimalBytes
    self.accesses = accesses
    self.reason = reason
    goesDown = down
    self.isString = isString
  }

  var description: String { text }
}

extension Encoding {
  static let all = plain + vectors + strings + silent

  /// General registers, locks and the stack.
  private static let plain: [Encoding] = [
    Encoding("mov byte ptr [rdi], al", "8807", [.store(0x60000, 1)]),
    Encoding("mov word ptr [rdi], ax", "668907", [.store(0x60000, 2)]),
    Encoding("mov dword ptr [rdi], eax", "8907", [.store(0x60000, 4)]),
    Encoding("mov qword ptr [rdi], rax", "488907", [.store(0x60000, 8)]),
    Encoding("mov qword ptr [rdi+8], -1", "48c74708ffffffff", [.store(0x60008, 8)]),
    Encoding("mov byte ptr [rdi+rax], 7", "c6040707", [.store(0x70000, 1)]),
    Encoding("mov dword ptr [rbp-4], edx", "8955fc", [.store(0x3fffc, 4)]),
    Encoding("mov qword ptr [rbx+rsi*8+0x100], r9", "4c898cf300010000", [.store(0x2b0100, 8)]),
    Encoding("mov qword ptr [r12+r13*4-0x80], rdx", "4b8954ac80", [.store(0x3fff80, 8)]),
    Encoding("mov qword ptr [rdx*2+0x12345], rax", "4889045545230100", [.store(0x52345, 8)]),
    Encoding("mov qword ptr [rsp+0x18], rax", "4889442418", [.store(0x7fff_0018, 8)]),
    Encoding("mov qword ptr [r13], rax", "49894500", [.store(0xd0000, 8)]),
    Encoding("mov qword ptr [r15+rbx], rax", "4989041f", [.store(0x2fff8, 8)]),
    Encoding("mov qword ptr [rip+0x1000], rax", "48890500100000", [.store(0x401007, 8)]),
    Encoding("mov dword ptr [rip-0x20], 5", "c705e0ffffff05000000", [.store(0x3fffea, 4)]),
    Encoding("mov rax, qword ptr [rip+0x40]", "488b0540000000", [.load(0x400047, 8)]),
    Encoding("mov rax, qword ptr [0x7654320]", "488b042520436507", [.load(0x7654320, 8)]),
    Encoding(
      "movabs al, byte ptr [0x123456789abc]", "a0bc9a785634120000",
      [.load(0x1234_5678_9abc, 1)]),
    Encoding(
      "movabs qword ptr [0x123456789abc], rax", "48a3bc9a785634120000",
      [.store(0x1234_5678_9abc, 8)]),
    Encoding("mov dword ptr [r9d], eax", "67418901", [.store(0x90000, 4)]),
    Encoding("mov dword ptr [r9d+edi*2], eax", "6741890479", [.store(0x150000, 4)]),
    Encoding("mov eax, dword ptr [eip+0x10]", "678b0510000000", [.load(0x400017, 4)]),
    Encoding("mov rax, qword ptr [rsi]", "488b06", [.load(0x50000, 8)]),
    Encoding("movzx eax, byte ptr [rsi+3]", "0fb64603", [.load(0x50003, 1)]),
    Encoding("movsx rax, word ptr [rsi+3]", "480fbf4603", [.load(0x50003, 2)]),
    Encoding("movsxd rax, dword ptr [rsi]", "486306", [.load(0x50000, 4)]),
    Encoding("movbe qword ptr [rdi], rax", "480f38f107", [.store(0x60000, 8)]),
    Encoding("mov word ptr [rdi], ds", "8c1f", [.store(0x60000, 2)]),
    Encoding("sete byte ptr [rdi]", "0f9407", [.store(0x60000, 1)]),
    Encoding("add qword ptr [rdi], rax", "480107", [.both(0x60000, 8)]),
    Encoding("add rax, qword ptr [rdi]", "480307", [.load(0x60000, 8)]),
    Encoding("inc dword ptr [rdi+rdx]", "ff0417", [.both(0x80000, 4)]),
    Encoding("not byte ptr [r8]", "41f610", [.both(0x80000, 1)]),
    Encoding("shl word ptr [r8], 3", "6641c12003", [.both(0x80000, 2)]),
    Encoding("cmp qword ptr [rdi], 0", "48833f00", [.load(0x60000, 8)]),
    Encoding("test byte ptr [rdi], 1", "f60701", [.load(0x60000, 1)]),
    Encoding("imul rax, qword ptr [rdi], 10", "486b070a", [.load(0x60000, 8)]),
    Encoding("div dword ptr [rdi]", "f737", [.load(0x60000, 4)]),
    Encoding("cmove rax, qword ptr [rdi]", "480f4407", [.load(0x60000, 8)]),
    Encoding("bts dword ptr [rdi], 3", "0fba2f03", [.both(0x60000, 4)]),
    Encoding("bt dword ptr [rdi], 3", "0fba2703", [.load(0x60000, 4)]),
    Encoding("popcnt rax, qword ptr [rdi]", "f3480fb807", [.load(0x60000, 8)]),
    Encoding("adc dword ptr [rdi], 1", "831701", [.both(0x60000, 4)]),
    Encoding("lock add qword ptr [rdi], rax", "f0480107", [.both(0x60000, 8, atomic: true)]),
    Encoding("lock inc dword ptr [rdi]", "f0ff07", [.both(0x60000, 4, atomic: true)]),
    Encoding("xchg qword ptr [rdi], rax", "488707", [.both(0x60000, 8, atomic: true)]),
    Encoding("xchg byte ptr [rdi], al", "8607", [.both(0x60000, 1, atomic: true)]),
    Encoding("lock cmpxchg qword ptr [rdi], rbx", "f0480fb11f", [.both(0x60000, 8, atomic: true)]),
    Encoding("cmpxchg dword ptr [rdi], ebx", "0fb11f", [.both(0x60000, 4)]),
    Encoding("lock cmpxchg16b [rdi]", "f0480fc70f", [.both(0x60000, 16, atomic: true)]),
    Encoding("lock cmpxchg8b [rdi]", "f00fc70f", [.both(0x60000, 8, atomic: true)]),
    Encoding("lock xadd dword ptr [rdi], eax", "f00fc107", [.both(0x60000, 4, atomic: true)]),
    Encoding("lock bts qword ptr [rdi], 9", "f0480fba2f09", [.both(0x60000, 8, atomic: true)]),
    Encoding("push rax", "50", [.store(0x7ffe_fff8, 8)]),
    Encoding("push ax", "6650", [.store(0x7ffe_fffe, 2)]),
    Encoding("push 5", "6a05", [.store(0x7ffe_fff8, 8)]),
    Encoding("push qword ptr [rdi]", "ff37", [.store(0x7ffe_fff8, 8), .load(0x60000, 8)]),
    Encoding("pop rax", "58", [.load(0x7fff_0000, 8)]),
    Encoding("pop qword ptr [rdi]", "8f07", [.store(0x60000, 8), .load(0x7fff_0000, 8)]),
    Encoding(
      "pop qword ptr [rsp+0x10]", "8f442410", [.store(0x7fff_0018, 8), .load(0x7fff_0000, 8)]),
    Encoding("call rax", "ffd0", [.store(0x7ffe_fff8, 8)]),
    Encoding("call qword ptr [rdi]", "ff17", [.store(0x7ffe_fff8, 8), .load(0x60000, 8)]),
    Encoding("ret", "c3", [.load(0x7fff_0000, 8)]),
    Encoding("leave", "c9", [.load(0x40000, 8)]),
    Encoding("pushfq", "9c", [.store(0x7ffe_fff8, 8)]),
    Encoding("popfq", "9d", [.load(0x7fff_0000, 8)]),
    Encoding("jmp qword ptr [rdi+rax*8]", "ff24c7", [.load(0xe0000, 8)]),
  ]

  /// Vectors, x87 and stores past the caches.
  private static let vectors: [Encoding] = [
    Encoding("movd dword ptr [rdi], xmm0", "660f7e07", [.store(0x60000, 4)]),
    Encoding("movq qword ptr [rdi], xmm0", "660fd607", [.store(0x60000, 8)]),
    Encoding("movss dword ptr [rdi], xmm0", "f30f1107", [.store(0x60000, 4)]),
    Encoding("movsd qword ptr [rdi], xmm0", "f20f1107", [.store(0x60000, 8)]),
    Encoding("movaps xmmword ptr [rdi], xmm0", "0f2907", [.store(0x60000, 16)]),
    Encoding("movups xmm1, xmmword ptr [rsi]", "0f100e", [.load(0x50000, 16)]),
    Encoding("movdqu xmmword ptr [rdi+rdx], xmm3", "f30f7f1c17", [.store(0x80000, 16)]),
    Encoding("movhps qword ptr [rdi], xmm0", "0f1707", [.store(0x60000, 8)]),
    Encoding("paddd xmm0, xmmword ptr [rdi]", "660ffe07", [.load(0x60000, 16)]),
    Encoding("pextrb byte ptr [rdi], xmm0, 3", "660f3a140703", [.store(0x60000, 1)]),
    Encoding("extractps dword ptr [rdi], xmm0, 1", "660f3a170701", [.store(0x60000, 4)]),
    Encoding("vmovdqa ymmword ptr [rdi], ymm0", "c5fd7f07", [.store(0x60000, 32)]),
    Encoding("vmovups ymm1, ymmword ptr [rsi+0x20]", "c5fc104e20", [.load(0x50020, 32)]),
    Encoding("vextracti128 xmmword ptr [rdi], ymm0, 1", "c4e37d390701", [.store(0x60000, 16)]),
    Encoding("vmaskmovps ymmword ptr [rdi], ymm1, ymm0", "c4e2752e07", [.store(0x60000, 32)]),
    Encoding("vpmaskmovq xmm0, xmm1, xmmword ptr [rsi]", "c4e2f18c06", [.load(0x50000, 16)]),
    Encoding("vbroadcastss ymm0, dword ptr [rsi]", "c4e27d1806", [.load(0x50000, 4)]),
    Encoding("vmovdqu64 zmmword ptr [rdi], zmm0", "62f1fe487f07", [.store(0x60000, 64)]),
    Encoding("vmovdqu64 zmmword ptr [rdi+0x40], zmm17", "62e1fe487f4f01", [.store(0x60040, 64)]),
    Encoding("vmovdqu8 zmmword ptr [rdi]{k1}, zmm0", "62f17f497f07", [.store(0x60000, 64)]),
    Encoding("vmovups ymmword ptr [rdi]{k2}, ymm0", "62f17c2a1107", [.store(0x60000, 32)]),
    Encoding("vmovdqu32 zmm0{k1}{z}, zmmword ptr [rsi]", "62f17ec96f06", [.load(0x50000, 64)]),
    Encoding("vaddps zmm0, zmm1, dword ptr [rsi]{1to16}", "62f174585806", [.load(0x50000, 4)]),
    Encoding("vpmovqb qword ptr [rdi], zmm0", "62f27e483207", [.store(0x60000, 8)]),
    Encoding("fstp qword ptr [rdi]", "dd1f", [.store(0x60000, 8)]),
    Encoding("fstp tbyte ptr [rdi]", "db3f", [.store(0x60000, 10)]),
    Encoding("fld dword ptr [rdi]", "d907", [.load(0x60000, 4)]),
    Encoding("fxsave [rdi]", "0fae07", [.store(0x60000, 512)]),
    Encoding("movq qword ptr [rdi], mm0", "0f7f07", [.store(0x60000, 8)]),
    Encoding("ldmxcsr dword ptr [rdi]", "0fae17", [.load(0x60000, 4)]),
    Encoding("movnti dword ptr [rdi], eax", "0fc307", [.store(0x60000, 4, nonTemporal: true)]),
    Encoding("movnti qword ptr [rdi], rax", "480fc307", [.store(0x60000, 8, nonTemporal: true)]),
    Encoding("movntq qword ptr [rdi], mm0", "0fe707", [.store(0x60000, 8, nonTemporal: true)]),
    Encoding(
      "movntdq xmmword ptr [rdi], xmm0", "660fe707", [.store(0x60000, 16, nonTemporal: true)]),
    Encoding("movntps xmmword ptr [rdi], xmm0", "0f2b07", [.store(0x60000, 16, nonTemporal: true)]),
    Encoding(
      "vmovntdq ymmword ptr [rdi], ymm0", "c5fde707",
      [.store(0x60000, 32, nonTemporal: true)]),
    Encoding(
      "vmovntdq zmmword ptr [rdi], zmm0", "62f17d48e707",
      [.store(0x60000, 64, nonTemporal: true)]),
    Encoding(
      "vmovntpd zmmword ptr [rdi-0x40], zmm0", "62f1fd482b47ff",
      [.store(0x5ffc0, 64, nonTemporal: true)]),
    Encoding(
      "movntdqa xmm0, xmmword ptr [rsi]", "660f382a06",
      [.load(0x50000, 16, nonTemporal: true)]),
    Encoding("maskmovdqu xmm0, xmm1", "660ff7c1", [.store(0x60000, 16, nonTemporal: true)]),
    Encoding("maskmovq mm0, mm1", "0ff7c1", [.store(0x60000, 8, nonTemporal: true)]),
    Encoding("movdiri qword ptr [rdi], rax", "480f38f907", [.store(0x60000, 8, nonTemporal: true)]),
    Encoding(
      "movdir64b rax, [rsi]", "660f38f806",
      [.store(0x10000, 64, nonTemporal: true), .load(0x50000, 64, nonTemporal: true)]),
  ]

  /// String instructions: RCX is 5.
  private static let strings: [Encoding] = [
    Encoding("stosb", "aa", [.store(0x60000, 1)], isString: true),
    Encoding("movsq", "48a5", [.store(0x60000, 8), .load(0x50000, 8)], isString: true),
    Encoding("rep stosb", "f3aa", [.store(0x60000, 5)], isString: true),
    Encoding("rep stosw", "66f3ab", [.store(0x60000, 10)], isString: true),
    Encoding("rep stosd", "f3ab", [.store(0x60000, 20)], isString: true),
    Encoding("rep stosq", "f348ab", [.store(0x60000, 40)], isString: true),
    Encoding("rep movsb", "f3a4", [.store(0x60000, 5), .load(0x50000, 5)], isString: true),
    Encoding("rep movsd", "f3a5", [.store(0x60000, 20), .load(0x50000, 20)], isString: true),
    Encoding("rep movsq", "f348a5", [.store(0x60000, 40), .load(0x50000, 40)], isString: true),
    Encoding("stosb", "aa", [.store(0x60000, 1)], down: true, isString: true),
    Encoding("movsq", "48a5", [.store(0x60000, 8), .load(0x50000, 8)], down: true, isString: true),
    Encoding("rep stosb", "f3aa", [.store(0x5fffc, 5)], down: true, isString: true),
    Encoding("rep stosw", "66f3ab", [.store(0x5fff8, 10)], down: true, isString: true),
    Encoding("rep stosd", "f3ab", [.store(0x5fff0, 20)], down: true, isString: true),
    Encoding("rep stosq", "f348ab", [.store(0x5ffe0, 40)], down: true, isString: true),
    Encoding(
      "rep movsb", "f3a4",
      [.store(0x5fffc, 5), .load(0x4fffc, 5)], down: true, isString: true),
    Encoding(
      "rep movsd", "f3a5",
      [.store(0x5fff0, 20), .load(0x4fff0, 20)], down: true, isString: true),
    Encoding(
      "rep movsq", "f348a5",
      [.store(0x5ffe0, 40), .load(0x4ffe0, 40)], down: true, isString: true),
    Encoding("repne movsb", "f2a4", [.store(0x60000, 5), .load(0x50000, 5)], isString: true),
    Encoding("rep stosd [edi]", "67f3ab", [.store(0x60000, 20)], isString: true),
    Encoding("lodsd", "ad", [.load(0x50000, 4)], isString: true),
    Encoding("rep lodsb", "f3ac", [.load(0x50000, 5)], isString: true),
    Encoding("repe cmpsb", "f3a6", [.load(0x50000, 1), .load(0x60000, 1)], isString: true),
    Encoding("repne scasb", "f2ae", [.load(0x60000, 1)], isString: true),
    Encoding("scasq", "48af", [.load(0x60000, 8)], isString: true),
  ]

  /// What touches no memory, or none that the registers tell.
  private static let silent: [Encoding] = [
    Encoding("lea rax, [rdi+rdx*4+8]", "488d449708", because: .noAccess),
    Encoding("nop dword ptr [rax+rax]", "0f1f0400", because: .noAccess),
    Encoding("nop", "90", because: .noAccess),
    Encoding("prefetcht0 [rdi]", "0f180f", because: .noAccess),
    Encoding("prefetchnta [rdi]", "0f1807", because: .noAccess),
    Encoding("prefetchw [rdi]", "0f0d0f", because: .noAccess),
    Encoding("clflush [rdi]", "0fae3f", because: .noAccess),
    Encoding("clflushopt [rdi]", "660fae3f", because: .noAccess),
    Encoding("clwb [rdi]", "660fae37", because: .noAccess),
    Encoding("mov rax, rbx", "4889d8", because: .noAccess),
    Encoding("sfence", "0faef8", because: .noAccess),
    Encoding("mfence", "0faef0", because: .noAccess),
    Encoding("pause", "f390", because: .noAccess),
    Encoding("endbr64", "f30f1efa", because: .noAccess),
    Encoding("jmp rax", "ffe0", because: .noAccess),
    Encoding("add rax, rbx", "4801d8", because: .noAccess),
    Encoding("vpaddd zmm0,zmm1,zmm2", "62f17548fec2", because: .noAccess),
    Encoding("rdtsc", "0f31", because: .noAccess),
    Encoding("ud2", "0f0b", because: .noAccess),
    Encoding("syscall", "0f05", because: .noAccess),
    Encoding("cldemote [rdi]", "0f1c07", because: .noAccess),
    Encoding("mov qword ptr fs:[0x28], rax", "644889042528000000", because: .threadLocal),
    Encoding("mov rax, qword ptr fs:[rdi]", "64488b07", because: .threadLocal),
    Encoding("mov gs:[rdi], eax", "658907", because: .threadLocal),
    Encoding("vpgatherdd ymm0, [rdi+ymm1*4], ymm2", "c4e26d90048f", because: .vector),
    Encoding("vpgatherqq zmm0{k1}, [rdi+zmm1*8]", "62f2fd499104cf", because: .vector),
    Encoding("vpscatterdd [rdi+zmm1*4]{k1}, zmm0", "62f27d49a0048f", because: .vector),
    Encoding("bts qword ptr [rdi], rax", "480fab07", because: .vector),
    Encoding("bt dword ptr [rdi], ecx", "0fa30f", because: .vector),
    Encoding("xlatb", "d7", because: .vector),
  ]
}
