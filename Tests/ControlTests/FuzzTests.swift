import ControlServer
import ControlWire
import Foundation
import JSONLines
import TestSupport
import Testing

/// Makes request lines that are wrong in every way, the same ones for the same seed.
struct LineMangler {
    private var random: SeededGenerator

    init(seed: UInt64) {
        random = SeededGenerator(seed: seed)
    }

    private static let seeds: [[UInt8]] = [
        #"{"jsonrpc":"2.0","id":1,"method":"status","params":{"lockers":["wall/3"]}}"#,
        #"{"jsonrpc":"2.0","id":"x","method":"open","params":{"locker":103,"key":"k","deadlineMs":0}}"#,
        #"{"jsonrpc":"2.0","id":null,"method":"open-all","params":{"lockers":[],"waitMs":5}}"#,
        #"[{"jsonrpc":"2.0","id":1,"method":"version"},{"jsonrpc":"2.0","method":"status"},7]"#,
        #"{"jsonrpc":"2.0","id":1e3,"method":"schema","params":{"method":"\u0073tatus"}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"operation","params":{"operation":"op-\ud83d\ude00"}}"#,
        #"{"jsonrpc":"2.0","id":1,"method":"subscribe","params":{"since":0,"types":["door.opened"]}}"#,
    ].map { Array($0.utf8) }

    private static let pieces: [[UInt8]] =
        [
            "\"", "\\", "{", "}", "[", "]", ",", ":", "null", "-", "1e999", "\\ud800", "\u{0}",
            "\"id\":1,",
            "99999999999999999999", "\r", " ", "\"params\":{}", "\"jsonrpc\":\"2.0\",",
        ].map { Array($0.utf8) } + [[0xFF], [0xC3], [0xED, 0xA0, 0x80]]

    /// One line without a line feed.
    mutating func line() -> [UInt8] {
        if Int.random(in: 0..<8, using: &random) == 0 {
            return (0..<Int.random(in: 0..<200, using: &random)).map { _ in
                let byte = UInt8.random(in: 0...255, using: &random)
                return byte == 0x0A ? 0x0B : byte
            }
        }
        var line = Self.seeds[Int.random(in: 0..<Self.seeds.count, using: &random)]
        for _ in 0..<Int.random(in: 0...4, using: &random) where !line.isEmpty {
            let at = Int.random(in: 0..<line.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: line[at] = UInt8.random(in: 0x20...0x7E, using: &random)
            case 1: line.remove(at: at)
            case 2: line.removeSubrange(at...)
            case 3:
                let piece = Self.pieces[Int.random(in: 0..<Self.pieces.count, using: &random)]
                line.insert(contentsOf: piece, at: at)
            default:
                let end = min(line.count, at + Int.random(in: 1...20, using: &random))
                line.insert(contentsOf: line[at..<end], at: at)
            }
        }
        return line
    }
}

@Suite struct `mangled requests` {
    @Test(arguments: [1, 2, 3] as [UInt64])
    func `every line is taken for what JSON says it is`(seed: UInt64) {
        var mangler = LineMangler(seed: seed)
        for _ in 0..<5000 {
            let line = mangler.line()
            let isJSON = (try? JSONReader.parse(line)) != nil
            line.withUnsafeBytes { raw in
                if case .fault(let fault) = RequestLine(raw) {
                    #expect((fault.number == -32700) == !isJSON)
                } else {
                    #expect(isJSON)
                }
                guard let one = StatusOfOne(raw) else { return }
                // What the short way takes, the general way takes for the same.
                guard case .single(.request(let request)) = RequestLine(raw) else {
                    return #expect(Bool(false), "\(String(decoding: line, as: UTF8.self))")
                }
                #expect(request.method == "status")
                #expect(request.id == Array(raw[one.id]))
                #expect(request.params["lockers"]?.arrayValue?.count == 1)
            }
        }
    }

    @Test(arguments: [11, 12] as [UInt64])
    func `the server answers each that can be answered, and stands`(seed: UInt64) async throws {
        try await ServedSite.with { served in
            let before = residentKilobytes()
            var mangler = LineMangler(seed: seed)
            for _ in 0..<20 {
                let client = try await served.client()
                var sent: [UInt8] = []
                for _ in 0..<60 { sent += mangler.line() + [0x0A] }
                sent += Array(#"{"jsonrpc":"2.0","id":"the end","method":"version"}"#.utf8) + [0x0A]
                try await client.send(sent)
                await client.halfClose()
                var isEndSeen = false
                while !isEndSeen {
                    let line = try await client.json()
                    isEndSeen = line["id"] == "the end"
                    for one in line.arrayValue ?? [line] {
                        #expect(one["jsonrpc"] == "2.0")
                        #expect(
                            one["method"] != nil || one["result"] != nil || one["error"] != nil)
                    }
                }
                await client.close()
            }
            try await eventually("every client is forgotten") { served.server.clientCount == 0 }
            // Other tests run in this process meanwhile, so this only tells a line that asks for gigabytes.
            #expect(residentKilobytes() - before < 512 * 1024 * Checkout.memoryFactor)
        }
    }

    private func residentKilobytes() -> Int {
        let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") } ?? ""
        return line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) } ?? 0
    }
}
