import JSONLines
import ModuleWire
import TestSupport
import Testing

/// Random and mutated lines against a real module: every one is answered or ignored, none ends it.
@Suite struct ModuleFuzzing {

    @Test(.timeLimit(.minutes(2)), arguments: [UInt64(1), 2, 3])
    func `mutated lines never end a module`(seed: UInt64) async throws {
        var random = SeededGenerator(seed: seed)
        let module = try ModuleUnderTest.simulator(over: seed == 2 ? .pipes : .socketPair)
        let corpus = try ["driver", "refusals"].flatMap { name in
            try Conversation(name).turns.map { Array($0.said.utf8) }
        }
        try await module.begin()
        let before = try module.residentKiB()
        for round in 0..<3000 {
            guard module.peer.send(bytes: line(from: corpus, &random) + [0x0A]) else {
                Issue.record("the module is gone in round \(round), seed \(seed)")
                break
            }
        }
        module.peer.send(#"{"jsonrpc":"2.0","id":987654321,"method":"ping","params":{}}"#)
        try await eventually("the last call is answered") {
            try module.peer.takeAll().contains { $0["id"] == 987_654_321 }
        }
        #expect(try module.residentKiB() - before < 32 * 1024 * Checkout.memoryFactor)
        module.peer.closeOutput()
        #expect(try await module.exitStatus() == 0)
    }

    @Test func `no bytes upset the reader of messages`() {
        var random = SeededGenerator(seed: 4)
        for _ in 0..<20_000 {
            let bytes = (0..<Int.random(in: 0..<80, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            _ = try? ModuleMessage(line: bytes)
        }
    }

    private func line(from corpus: [[UInt8]], _ random: inout SeededGenerator) -> [UInt8] {
        if Int.random(in: 0..<8, using: &random) == 0 {
            return (0..<Int.random(in: 0..<300, using: &random)).map { _ in
                let byte = UInt8.random(in: 0...255, using: &random)
                return byte == 0x0A ? 0x20 : byte
            }
        }
        var bytes = corpus.randomElement(using: &random) ?? []
        for _ in 0..<Int.random(in: 0...4, using: &random) { mutate(&bytes, &random) }
        return bytes.map { $0 == 0x0A ? 0x20 : $0 }
    }

    private func mutate(_ bytes: inout [UInt8], _ random: inout SeededGenerator) {
        guard !bytes.isEmpty else { return }
        let at = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 1: bytes.remove(at: at)
        case 2: bytes.removeSubrange(at...)
        case 3:
            let words = [
                "null", "-1", "1e308", "9223372036854775807", "[[[[", "\\ud800", "{}", "\"\"",
                "\u{0}", "0.1", "\"stop\"",
            ]
            bytes.insert(contentsOf: (words.randomElement(using: &random) ?? "").utf8, at: at)
        case 4:
            let end = min(bytes.count, at + Int.random(in: 1...40, using: &random))
            bytes.insert(contentsOf: bytes[at..<end], at: at)
        default:
            let digits = bytes.indices.filter { (0x30...0x39).contains(bytes[$0]) }
            if let digit = digits.randomElement(using: &random) {
                bytes[digit] = UInt8.random(in: 0x30...0x39, using: &random)
            }
        }
    }
}
