import Foundation

/// Random numbers that repeat: a fuzz test that fails once fails again.
///
/// `LOCKERD_FUZZ_SEED` in the environment moves every seed, so that `make fuzz` tries new input each time.
package struct SeededGenerator: RandomNumberGenerator {
    private static let shift =
        ProcessInfo.processInfo.environment["LOCKERD_FUZZ_SEED"].flatMap(UInt64.init) ?? 0

    private var state: UInt64

    package init(seed: UInt64) {
        state = seed &+ Self.shift
    }

    /// SplitMix64.
    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// `bytes` with a few of them changed, dropped, doubled or inserted.
    package mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var out = bytes
        for _ in 0..<Int.random(in: 1...4, using: &self) {
            let at = out.isEmpty ? 0 : Int.random(in: 0..<out.count, using: &self)
            switch Int.random(in: 0..<5, using: &self) {
            case 0 where !out.isEmpty: out[at] = UInt8.random(in: 0...255, using: &self)
            case 1 where !out.isEmpty: out.remove(at: at)
            case 2 where !out.isEmpty: out.insert(out[at], at: at)
            case 3 where !out.isEmpty: out.removeSubrange(at...)
            default:
                let likely = Array("{}[]\",:0123456789.eE+-\\u tfn\u{FF}".utf8)
                out.insert(likely.randomElement(using: &self) ?? 0, at: at)
            }
        }
        return out
    }
}
