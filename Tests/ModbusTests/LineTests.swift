import DriverBench
import Foundation
import LockerKit
import LockerKitTesting
import Logging
import TestSupport
import Testing

@testable import ModbusDriver

/// The driver on a serial line made of two pseudo terminals.
@Suite(.serialized, .enabled(if: Line.whyNot == nil || Checkout.isCI, "\(Line.whyNot ?? "")"))
struct `A serial line` {
    @Test func `carries reads and pulses of both kinds`() async throws {
        try await Line.run { line in
            try await with(.serialBoard(line.far)) { peer in
                for profile in ["generic-coil-8", "waveshare-relay-8"] {
                    let bench = try await line.bench(profile)
                    let board = try #require(bench.controllers["board"])
                    try await board.start()
                    #expect(try await board.doors().count == 8)
                    let report = try await board.open(3)
                    #expect(report.evidence == .echo && report.doorAfter == .open)
                    try await board.stop()
                    #expect(
                        bench.log.lines.contains { $0.message.contains("leaves the direction") })
                }
                #expect(try await peer.writes.map(\.value) == [0xFF00, 0, 2])
            }
        }
    }

    @Test func `that nobody answers on times out, and an answer is heard later`() async throws {
        try await Line.run { line in
            let bench = try await line.bench("generic-coil-8", "response_ms = 400")
            let board = try #require(bench.controllers["board"])
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.readDoors()
            }
            #expect(error.code == .timedOut)
            try await with(.serialBoard(line.far)) { _ in
                try await eventually("the doors are read") { (try? await board.doors().count) == 8 }
            }
        }
    }

    /// `TIOCGEXCL`, whose macro does not reach Swift.
    private static let exclusiveMode: UInt = 0x8004_5440

    @Test func `is kept from other programs while it is in use`() async throws {
        try await Line.run { line in
            let bench = try await line.bench("generic-coil-8")
            let board = try #require(bench.controllers["board"])
            func isExclusive() throws -> Bool {
                let handle = open(line.near, O_RDWR | O_NOCTTY)
                try #require(handle >= 0)
                defer { close(handle) }
                // The mode would outlive a killed process on a pseudo terminal whose other end is open, and keep the next one out.
                var mode: CInt = 0
                #expect(ioctl(handle, Self.exclusiveMode, &mode) == 0 && mode == 0)
                return flock(handle, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK
            }
            #expect(try !isExclusive())
            try await board.start()
            #expect(try isExclusive())
            try await board.stop()
            #expect(try !isExclusive())
        }
    }

    @Test func `is left silent between two frames, after time-outs too`() async throws {
        try await Line.run { line in
            let clock = ManualClock()
            let bench = try await line.bench("generic-coil-8", "response_ms = 400", clock: clock)
            let board = try #require(bench.controllers["board"])
            try await board.start()
            // 3.5 characters at 9600 baud and a millisecond; after a time-out as long as an answer may take.
            for (isAnswered, gap) in [
                (false, Duration.milliseconds(400)), (true, .microseconds(5011)),
            ] {
                let peer = isAnswered ? try await Peer.serialBoard(line.far) : nil
                if isAnswered { clock.advance(by: .seconds(1)) }
                // The coils are read before the doors.
                let doors = Task { try? await board.readDoors() }
                await clock.waitForSleepers(1)
                clock.advance(by: gap - .microseconds(1))
                #expect(clock.sleepers == 1)
                clock.advance(by: .microseconds(1))
                if isAnswered {
                    // And before it answers, so that whoever comes next need not wait.
                    await clock.waitForSleepers(1)
                    clock.advance(by: gap)
                }
                #expect(await doors.value?.count == (isAnswered ? 8 : nil))
                await peer?.stop()
            }
        }
    }

    @Test func `is left silent for as long as the board says it needs`() async throws {
        let slow = """
            lockers = 8
            [coils]
            pulse = "host"
            [doors]
            read = "discrete-inputs"
            [timing]
            gap_ms = 20
            """
        try await Line.run { line in
            try await with(.serialBoard(line.far)) { _ in
                let clock = ManualClock()
                let bench = try await Bench(
                    Line.text(line.near, "slow", ""), boards: ["slow": slow], clock: clock)
                let board = try #require(bench.controllers["board"])
                try await board.start()
                let doors = Task { try await board.readDoors() }
                await clock.waitForSleepers(1)
                clock.advance(by: .milliseconds(20) - .microseconds(1))
                #expect(clock.sleepers == 1)
                clock.advance(by: .microseconds(1))
                await clock.waitForSleepers(1)
                clock.advance(by: .milliseconds(20))
                #expect(try await doors.value.count == 8)
            }
        }
    }

    @Test func `does not take a late answer for the one to the next question`() async throws {
        try await Line.run { line in
            let peer = try await Peer.serialLiar(
                line.far, "late", "--function", "2", "--times", "1", "--delay", "0.6", "--count")
            try await with(peer) { _ in
                let bench = try await line.bench("generic-coil-8", "response_ms = 400")
                let board = try #require(bench.controllers["board"])
                try await board.start()
                let late = try await failure { () async throws(LockerError) in
                    try await board.readDoors()
                }
                #expect(late.code == .timedOut)
                // The doors show which question was answered.
                for question in 2...6 {
                    let doors = try await board.doors()
                    let shown = doors.enumerated().reduce(0) {
                        $0 + ($1.element == .open ? 1 << $1.offset : 0)
                    }
                    #expect(shown == question)
                }
            }
        }
    }

    @Test func `does not keep a coil on for the sake of an answer that may still come`()
        async throws
    {
        try await Line.run { line in
            let peer = try await Peer.serialLiar(line.far, "silent", "--times", "1")
            try await with(peer) { peer in
                let bench = try await line.bench("generic-coil-8", "response_ms = 1000")
                let board = try #require(bench.controllers["board"])
                try await board.start()
                #expect(try await board.open(3, 100).evidence == .none)
                let orders = try await peer.events.filter { $0.hex?.hasPrefix("01 05") == true }
                try #require(orders.count == 2)
                let onTime = orders[1].at - orders[0].at
                #expect(onTime > 0.08 && onTime < 0.9, "the coil was on for \(onTime) s")
            }
        }
    }

    @Test func `does not keep a coil on for the sake of configured pauses`() async throws {
        try await Line.run { line in
            try await with(.serialBoard(line.far)) { peer in
                let bench = try await line.bench("generic-coil-8", "spacing_ms = 400")
                let board = try #require(bench.controllers["board"])
                try await board.start()
                let report = try await board.open(1)
                #expect(report.bus >= .milliseconds(800))
                let writes = try await peer.writes
                try #require(writes.map(\.isOn) == [true, false])
                let onTime = writes[1].at - writes[0].at
                #expect(onTime > 0.15 && onTime < 0.39, "the coil was on for \(onTime) s")
            }
        }
    }

    @Test func `that is pulled out is down, and comes back`() async throws {
        try await Line.run { line in
            let bench = try await line.bench("generic-coil-8")
            let board = try #require(bench.controllers["board"])
            try await with(.serialBoard(line.far)) { _ in
                try await board.start()
                _ = try await board.doors()
            }
            await line.unplug()
            for _ in 0..<2 {
                let error = try await failure { () async throws(LockerError) in
                    try await board.readDoors()
                }
                #expect(error.code == .linkDown, "\(error)")
            }
            let open = try await failure { () async throws(LockerError) in try await board.open(1) }
            #expect(open.code == .linkDown && open.fired == .no && open.sent == .no)
            #expect(open.message.contains("no such file"), "\(open)")
            try await line.plug()
            try await with(.serialBoard(line.far)) { _ in
                let report = try await board.open(1)
                #expect(report.evidence == .echo)
            }
        }
    }

    @Test(.enabled(if: getuid() != 0, "root may open every port"))
    func `that may not be opened is a loud matter`() async throws {
        try await withTemporaryDirectory { root in
            try write("", to: "\(root)/port", mode: 0)
            let bench = try await Bench(Line.text("\(root)/port", "generic-coil-8", ""))
            let board = try #require(bench.controllers["board"])
            let error = try await failure { () async throws(LockerError) in try await board.start()
            }
            #expect(error.code == .linkDown && error.message.contains("dialout"))
            #expect(bench.log.lines.contains { $0.level == .error })
        }
    }
}

/// Two pseudo terminals tied together by socat; the daemon has one end, the board the other.
final class Line: Sendable {
    static var whyNot: String? {
        if let why = Checkout.whyNoPeers { return why }
        return FileManager.default.isExecutableFile(atPath: "/usr/bin/socat")
            ? nil : "no /usr/bin/socat; `make deps` installs it"
    }

    let near: String
    let far: String
    private let holder = Holder()

    private actor Holder {
        var socat: ChildProcess?
        func set(_ process: ChildProcess?) { socat = process }
    }

    private init(_ root: String) {
        near = "\(root)/near"
        far = "\(root)/far"
    }

    static func run(_ body: (Line) async throws -> Void) async throws {
        try await withTemporaryDirectory { root in
            let line = Line(root)
            try await line.plug()
            do {
                try await body(line)
            } catch {
                await line.unplug()
                throw error
            }
            await line.unplug()
        }
    }

    func plug() async throws {
        let socat = try ChildProcess(
            "/usr/bin/socat", ["pty,raw,echo=0,link=\(near)", "pty,raw,echo=0,link=\(far)"])
        await holder.set(socat)
        let files = FileManager.default
        try await eventually("socat makes the line") {
            files.fileExists(atPath: near) && files.fileExists(atPath: far)
        }
    }

    func unplug() async {
        await holder.socat?.stop()
        await holder.set(nil)
        for end in [near, far] { try? FileManager.default.removeItem(atPath: end) }
    }

    static func text(_ device: String, _ board: String, _ options: String) -> String {
        """
        [link]
        transport = "rtu"
        device = "\(device)"
        \(options)
        [[controller]]
        id = "board"
        board = "\(board)"
        unit = 1
        first_id = 1
        """
    }

    func bench(
        _ board: String, _ options: String = "", clock: any MonotonicClock = ContinuousClock()
    ) async throws -> Bench {
        try await Bench(Self.text(near, board, options), clock: clock)
    }
}
