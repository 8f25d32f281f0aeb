import JSONLines
import TestSupport
import Testing

@Suite struct LineFramerTests {
    private func lines(_ framer: inout LineFramer) -> ([String], LineFramer.Outcome) {
        var found: [String] = []
        while true {
            let outcome = framer.nextLine { found.append(String(decoding: $0, as: UTF8.self)) }
            if outcome != .line { return (found, outcome) }
        }
    }

    @Test func givesTheSameLinesHoweverTheStreamWasCut() {
        var random = SeededGenerator(seed: 3)
        let wanted = (0..<300).map { String(repeating: "x", count: $0 % 41) }
        let stream = Array(wanted.map { $0 + ($0.count % 3 == 0 ? "\r\n" : "\n") }.joined().utf8)
        for _ in 0..<50 {
            var framer = LineFramer(limit: 64)
            var found: [String] = []
            var rest = stream[...]
            while !rest.isEmpty {
                let count = Int.random(in: 1...min(97, rest.count), using: &random)
                framer.append(Array(rest.prefix(count)))
                rest = rest.dropFirst(count)
                found += lines(&framer).0
            }
            #expect(found == wanted)
            #expect(framer.pendingBytes == 0)
        }
    }

    @Test func takesALineAtTheLimitAndNotOneByteMore() {
        var framer = LineFramer(limit: 8)
        framer.append(Array("12345678\n".utf8))
        #expect(lines(&framer) == (["12345678"], .needsMore))
        framer.append(Array("123456789\n".utf8))
        #expect(lines(&framer) == ([], .overlong))
    }

    @Test func doesNotWaitForTheEndOfAnEndlessLineAndHoldsNoneOfIt() {
        var framer = LineFramer(limit: 8)
        framer.append(Array("123456789".utf8))
        #expect(lines(&framer) == ([], .overlong))
        for _ in 0..<1000 { framer.append([UInt8](repeating: 0x61, count: 4096)) }
        #expect(framer.pendingBytes == 0)
        framer.append(Array("\nfine\n".utf8))
        #expect(lines(&framer) == ([], .overlong))
    }
}
