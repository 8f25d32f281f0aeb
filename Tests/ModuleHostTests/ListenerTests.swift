import JSONLines
import LockerKit
import LockerKitTesting
import Locks
import Logging
import ModuleWire
import TestSupport
import Testing

@testable import ModuleHost

@Suite("What a module writes")
struct ListenerTests {

    private static let samples = [
        #"{"jsonrpc":"2.0","id":1,"result":{"evidence":"echo","busMs":1.5,"pulseMs":200}}"#,
        #"{"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"x","data":{"code":"LINK_DOWN","fired":"no","sent":"no"}}}"#,
        #"{"jsonrpc":"2.0","method":"doors","params":{"controller":"wall","doors":[{"locker":1,"door":"open","ageMs":0.25}]}}"#,
        #"{"jsonrpc":"2.0","method":"log","params":{"level":"warning","message":"\u00e9\n","metadata":{"unit":"3","link":"other"}}}"#,
        #"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON"}}"#,
    ]

    private func mutated(_ generator: inout SeededGenerator) -> [UInt8] {
        var bytes = Array((Self.samples.randomElement(using: &generator) ?? "").utf8)
        for _ in 0..<Int.random(in: 0...3, using: &generator) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &generator)
            switch Int.random(in: 0...4, using: &generator) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &generator)
            case 1: bytes.remove(at: index)
            case 2: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: index)
            case 3: bytes.insert(contentsOf: "1e999".utf8, at: index)
            default: bytes.append(contentsOf: bytes[index...])
            }
        }
        bytes.append(0x0A)
        return bytes
    }

    @Test("Random and mutated lines never do more than end the conversation, and little is held")
    func fuzz() {
        let clock = ManualClock()
        var generator = SeededGenerator(seed: 20_261_121)
        var ended = 0
        var reported = 0
        for _ in 0..<4000 {
            let connection = ModuleConnection(title: "module fake", clock: clock)
            let log = ModuleLog(logger: quietLogger, clock: clock)
            let doors = Mutex(0)
            var listener = ModuleListener(connection, log: log) { params throws(WireError) in
                let now = clock.now
                for door in params.doors { _ = try DoorReading(door, now: now) }
                doors.withLock { $0 += params.doors.count }
            }
            for _ in 0..<8 {
                var bytes =
                    Bool.random(using: &generator)
                    ? mutated(&generator)
                    : (0..<Int.random(in: 0...64, using: &generator)).map { _ in
                        UInt8.random(in: 0...255, using: &generator)
                    }
                while !bytes.isEmpty {
                    let piece = bytes.prefix(Int.random(in: 1...bytes.count, using: &generator))
                    Array(piece).withUnsafeBytes { listener.take($0) }
                    bytes.removeFirst(piece.count)
                    #expect(listener.pendingBytes <= ModuleProtocol.lineLimit)
                }
            }
            if connection.closed.current != nil { ended += 1 }
            reported += doors.withLock { $0 }
        }
        #expect(ended > 1000)
        #expect(reported > 100)
    }

    @Test("A line without an end is given up at the limit")
    func endless() {
        let clock = ManualClock()
        let connection = ModuleConnection(title: "module fake", clock: clock)
        var listener = ModuleListener(
            connection, log: ModuleLog(logger: quietLogger, clock: clock)
        ) { _ in }
        let piece = [UInt8](repeating: 0x20, count: 64 * 1024)
        for _ in 0..<64 { piece.withUnsafeBytes { listener.take($0) } }
        #expect(
            connection.closed.current
                == .misbehaviour("sent a line longer than \(ModuleProtocol.lineLimit) bytes"))
        #expect(listener.pendingBytes == 0)
    }

    @Test("Lines of standard error are cut at their limit and stripped of control characters")
    func errorLines() {
        var lines = LogLines(limit: 8)
        var seen: [String] = []
        for piece in ["one\n\ntw", "o\u{1B}[1m\r\n12345678\n123456789\n", "", "re", "st"] {
            Array(piece.utf8).withUnsafeBytes { lines.append($0) { seen.append($0) } }
        }
        #expect(seen == ["one", "two [1m ", "12345678", "12345678 …"])
        lines.finish { seen.append($0) }
        lines.finish { seen.append($0) }
        #expect(seen.last == "rest" && seen.count == 5)
    }

    @Test("A module may log a burst and then so many lines a second; what is left out is counted")
    func rate() {
        let start = ContinuousClock.now
        var limit = RateLimit(burst: 3, perSecond: 2, at: start)
        #expect((0..<5).map { _ in limit.admit(at: start) } == [0, 0, 0, nil, nil])
        #expect(limit.admit(at: start + .milliseconds(499)) == nil)
        #expect(limit.admit(at: start + .milliseconds(500)) == 3)
        #expect(limit.admit(at: start + .seconds(60)) == 0)
    }

    @Test("A module's log lines carry its level and metadata, but not in another link's name")
    func logNotification() throws {
        let clock = ManualClock()
        let recorder = LogRecorder()
        var logger = recorder.logger
        logger[metadataKey: "link"] = "yard"
        var listener = ModuleListener(
            ModuleConnection(title: "module fake", clock: clock),
            log: ModuleLog(logger: logger, clock: clock)
        ) { _ in }
        let line = Self.samples[3] + "\n"
        Array(line.utf8).withUnsafeBytes { listener.take($0) }
        let entry = try #require(recorder.lines.first)
        #expect(entry.level == .warning && entry.message == "é ")
        #expect(entry.metadata == ["unit": "3", "link": "yard"])
    }
}
