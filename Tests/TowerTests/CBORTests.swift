import CBORCodec
import Foundation
import TestSupport
import Testing

/// The strict reader and the encoder, held to the examples of RFC 8949 and to an independent library.
@Suite struct `Deterministic CBOR` {
    /// Appendix A, those values that towers use.
    private static let examples: [(String, CBOR)] = [
        ("00", .int(0)), ("01", .int(1)), ("0a", .int(10)), ("17", .int(23)), ("1818", .int(24)),
        ("1819", .int(25)), ("1864", .int(100)), ("1903e8", .int(1000)),
        ("1a000f4240", .int(1_000_000)), ("1b000000e8d4a51000", .int(1_000_000_000_000)),
        ("20", .int(-1)), ("29", .int(-10)), ("3863", .int(-100)), ("3903e7", .int(-1000)),
        ("f4", .bool(false)), ("f5", .bool(true)), ("f6", .null), ("40", .bytes([])),
        ("4401020304", .bytes([1, 2, 3, 4])), ("60", .text("")), ("6161", .text("a")),
        ("6449455446", .text("IETF")), ("62225c", .text("\"\\")), ("62c3bc", .text("ü")),
        ("63e6b0b4", .text("水")), ("64f0908591", .text("𐅑")), ("80", .array([])),
        ("83010203", .array([.int(1), .int(2), .int(3)])),
        (
            "8301820203820405",
            .array([.int(1), .array([.int(2), .int(3)]), .array([.int(4), .int(5)])])
        ),
        ("a0", .map([:])), ("a201020304", .map([1: .int(2), 3: .int(4)])),
        ("1b7fffffffffffffff", .int(.max)), ("3b7fffffffffffffff", .int(.min)),
        // Keys from 0 up, and then from -1 down.
        ("a40a00181800200039010000", .map([10: .int(0), 24: .int(0), -1: .int(0), -257: .int(0)])),
    ]

    @Test func `writes and reads the examples of its specification`() throws {
        for (text, value) in Self.examples {
            #expect(hexText(value.encoded) == text)
            #expect(try CBORReader.parse(hexBytes(text)) == value)
        }
    }

    @Test(arguments: [
        ("", "want a value"), ("0000", "want the end"), ("1817", "shorter head"),
        ("1900ff", "shorter head"), ("1a0000ffff", "shorter head"),
        ("1b00000000ffffffff", "shorter head"), ("1b8000000000000000", "64 bits"),
        ("3b8000000000000000", "64 bits"), ("5f42010243030405ff", "told beforehand"),
        ("9fff", "told beforehand"), ("bfff", "told beforehand"), ("1c", "told beforehand"),
        ("f93c00", "false, true or null"), ("fa47c35000", "false, true or null"),
        ("f7", "false, true or null"), ("f818", "false, true or null"), ("c074", "want no tag"),
        ("a2020001", "2 pairs"), ("a202000100", "in order"), ("a201000100", "each key once"),
        ("a1616100", "a key that is an integer"), ("61ff", "UTF-8"), ("62c0af", "UTF-8"),
        ("63eda080", "UTF-8"), ("4401", "4 bytes"), ("8201", "2 values"),
        ("9b00ffffffffffffff", "values, it ends"), ("5b00ffffffffffffff", "bytes, it ends"),
        ("bb00ffffffffffffff", "pairs, it ends"), ("19", "whole head"),
        ("81818181818181818100", "nested deeper"),
    ])
    func `refuses all but the one form of a value`(text: String, problem: String) throws {
        let error = #expect(throws: CBORSyntaxError.self) {
            try CBORReader.parse(hexBytes(text))
        }
        #expect(
            error?.description.contains(problem) == true, "\(text): \(error?.description ?? "")")
    }

    @Test(.enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
    func `takes of mutated values what another library takes, and nothing else`()
        async throws
    {
        var random = SeededGenerator(seed: 1)
        var taken: [(String, String)] = []
        var tried: [String] = []
        for _ in 0..<4000 {
            var bytes = Self.value(&random, 3).encoded
            if Bool.random(using: &random) { bytes = random.mutate(bytes) }
            tried.append(hexText(bytes))
            if let value = try? CBORReader.parse(bytes) {
                taken.append((hexText(bytes), hexText(value.encoded)))
            }
        }
        #expect(taken.allSatisfy { $0.0 == $0.1 })
        // Half of them are as they were made, so this says something.
        #expect(taken.count > 1000 && taken.count < tried.count)
        try await withTemporaryDirectory { folder in
            try write(tried.joined(separator: "\n") + "\n", to: "\(folder)/tried")
            let peer = try ChildProcess(
                Checkout.python,
                ["\(Checkout.root)/Tests/Bench/tower/cbor_peer.py", "\(folder)/tried"])
            #expect(try await peer.exitStatus(within: .seconds(60)) == 0, "\(peer.standardError)")
            let theirs = peer.standardOutput.split(separator: "\n").map(String.init)
            // Not the lists themselves: nobody would find the one value in them.
            #expect(Set(theirs).subtracting(taken.map(\.0)) == [], "not taken")
            #expect(Set(taken.map(\.0)).subtracting(theirs) == [], "taken")
            #expect(theirs.count == taken.count)
        }
    }

    private static func value(_ random: inout SeededGenerator, _ depth: Int) -> CBOR {
        func number() -> Int64 {
            let bits = Int.random(in: 0...63, using: &random)
            let size = Int64.random(in: .min ... .max, using: &random) >> Int64(bits)
            return size
        }
        switch Int.random(in: 0...(depth > 0 ? 7 : 5), using: &random) {
        case 0, 1: return .int(number())
        case 2:
            return .bytes((0..<Int.random(in: 0...40, using: &random)).map { _ in 7 })
        case 3: return .text(String(repeating: "ü", count: Int.random(in: 0...20, using: &random)))
        case 4: return .bool(Bool.random(using: &random))
        case 5: return .null
        case 6:
            return .array(
                (0..<Int.random(in: 0...4, using: &random)).map { _ in value(&random, depth - 1) })
        default:
            var map: [Int64: CBOR] = [:]
            for _ in 0..<Int.random(in: 0...5, using: &random) {
                map[number()] = value(&random, depth - 1)
            }
            return .map(map)
        }
    }
}

func hexText(_ bytes: [UInt8]) -> String { bytes.map { String(format: "%02x", $0) }.joined() }

func hexBytes(_ text: String) -> [UInt8] {
    stride(from: 0, to: text.count, by: 2).compactMap { place in
        let start = text.index(text.startIndex, offsetBy: place)
        return UInt8(text[start...].prefix(2), radix: 16)
    }
}
