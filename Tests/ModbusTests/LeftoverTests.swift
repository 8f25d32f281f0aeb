import BusKit
import DriverBench
import Glibc
import JSONLines
import LockerKit
import LockerKitTesting
import Locks
import Logging
import TestSupport
import Testing

@testable import ModbusDriver

/// Coils that stay on because off could not be sent or was not confirmed.
@Suite(
    .serialized, .timeLimit(.minutes(1)),
    .enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
struct `A coil that would not switch off` {
    /// A profile whose off must not be repeated blindly.
    static let unsafe = [
        "unsafe": """
        lockers = 8
        [coils]
        pulse = "host"
        [doors]
        read = "discrete-inputs"
        """
    ]

    private func board(
        _ port: Int, isSafe: Bool = true, options: String = "",
        clock: any MonotonicClock = ContinuousClock()
    ) async throws -> any LockController {
        let name = isSafe ? "generic-coil-8" : "unsafe"
        let bench = try await Bench(
            Bench.tcpText(port, board: name, options: options), boards: Self.unsafe, clock: clock)
        return try #require(bench.controllers["board"])
    }

    /// Begins to open locker 3 and takes its board away when half of the pulse is over.
    private func open(
        _ board: any LockController, losing peer: Peer, _ clock: ManualClock
    ) async throws -> Task<OpenReport, any Error> {
        try await board.start()
        let open = Task { try await board.open(3, 500) }
        await clock.waitForSleepers(1)
        clock.advance(by: .milliseconds(250))
        peer.process.signal(9)
        await peer.stop()
        clock.advance(by: .milliseconds(250))
        return open
    }

    /// Leaves the coil of locker 3 on.
    private func strand(_ board: any LockController, _ peer: Peer, _ clock: ManualClock)
        async throws
    {
        let open = try await open(board, losing: peer, clock)
        await clock.waitForSleepers(1)
        clock.advance(by: Limits.release)
        let error = try #require(await open.failure as? LockerError)
        #expect(error.code == .outputStuck && error.fired == .yes && error.sent == .yes)
    }

    @Test func `is told off before the doors are read, even if they cannot be read`()
        async throws
    {
        let clock = ManualClock()
        let peer = try await Peer.board()
        let board = try await board(peer.port, clock: clock)
        try await strand(board, peer, clock)
        try await with(.board("--door-exception", "4", at: peer.port)) { next in
            let error = try await failure { () async throws(LockerError) in
                try await board.readDoors()
            }
            #expect(error.code == .refused)
            #expect(try await next.writes.map(\.coil) == [2])
            #expect(try await next.ons.isEmpty)
            // Once is enough.
            _ = try? await board.readDoors()
            try await board.stop()
            #expect(try await next.writes.count == 1)
        }
    }

    @Test func `is told off before it is read back, which may take all the time there is`()
        async throws
    {
        let clock = ManualClock()
        let peer = try await Peer.board()
        let board = try await board(peer.port, clock: clock)
        try await strand(board, peer, clock)
        let deaf = try await Peer.liar("silent", "--function", "1", "--port", String(peer.port))
        // The rest between two attempts to connect is over: nothing but the order of things decides.
        clock.advance(by: BusLimits.longestPause)
        try await with(deaf) { next in
            _ = try await board.doors()
            let frames = try await next.events.compactMap(\.hex)
            #expect(frames.first?.hasSuffix("01 05 00 02 00 00") == true, "\(frames)")
        }
    }

    @Test func `is told off before the next open, whichever locker that is for`() async throws {
        let clock = ManualClock()
        let peer = try await Peer.board()
        let board = try await board(peer.port, clock: clock)
        try await strand(board, peer, clock)
        try await with(.board(at: peer.port)) { next in
            let open = Task { try await board.open(5, 300) }
            await clock.waitForSleepers(1)
            let early = try await next.writes
            #expect(early.map(\.coil) == [2, 4])
            clock.advance(by: .milliseconds(300))
            #expect(try await open.value.evidence == .echo)
            #expect(try await next.writes.map(\.isOn) == [false, true, false])
        }
    }

    @Test(arguments: [true, false])
    func `is told off again while no order has left, safe or not`(isSafe: Bool) async throws {
        let clock = ManualClock()
        let peer = try await Peer.board()
        let board = try await board(peer.port, isSafe: isSafe, clock: clock)
        let open = try await open(board, losing: peer, clock)
        await clock.waitForSleepers(1)
        try await with(.board(at: peer.port)) { next in
            clock.advance(by: Limits.shortestOffPause)
            let report = try await open.value
            #expect(report.evidence == .echo)
            #expect(try await next.writes.map(\.coil) == [2])
            #expect(try await next.ons.isEmpty)
        }
    }

    @Test func `is told off at growing intervals until the time is up`() async throws {
        let clock = ManualClock()
        let peer = try await Peer.board()
        let board = try await board(peer.port, clock: clock)
        let open = try await open(board, losing: peer, clock)
        for pause in [50, 100, 200, 400, 500, 500, 500, 500, 500, 500, 500] {
            await clock.waitForSleepers(1)
            clock.advance(by: .milliseconds(pause - 1))
            #expect(clock.sleepers == 1)
            clock.advance(by: .milliseconds(1))
        }
        #expect((await open.failure as? LockerError)?.code == .outputStuck)
    }

    @Test func `is told off once where that is not safe and the order may have acted`()
        async throws
    {
        try await with(.liar("silent")) { peer in
            let board = try await board(peer.port, isSafe: false, options: "response_ms = 200")
            try await board.start()
            let pulse = ["01 05 00 02 ff 00", "01 05 00 02 00 00"]
            let error = try await failure { () async throws(LockerError) in
                try await board.open(3, 50)
            }
            #expect(error.code == .outputStuck && error.fired == .unknown)
            _ = try await board.doors()
            #expect(try await peer.orders == pulse)
            // Another pulse is owed an off of its own.
            _ = try await failure { () async throws(LockerError) in try await board.open(3, 50) }
            let stuck = try await failure { () async throws(LockerError) in try await board.stop() }
            #expect(stuck.code == .outputStuck)
            #expect(try await peer.orders == pulse + pulse)
        }
    }

    @Test func `keeps every other lock from being fired`() async throws {
        try await with(.board("--stuck", "2")) { peer in
            let clock = ManualClock()
            let board = try await board(peer.port, clock: clock)
            try await board.start()
            let open = Task { try await board.open(3, 500) }
            for limit in [.milliseconds(500), Limits.release] {
                await clock.waitForSleepers(1)
                clock.advance(by: limit)
            }
            #expect((await open.failure as? LockerError)?.code == .outputStuck)
            let error = try await failure { () async throws(LockerError) in try await board.open(5)
            }
            #expect(error.code == .outputStuck && error.fired == .no)
            #expect(try await peer.ons.map(\.coil) == [2])
        }
    }

    @Test func `that a board reads back as off is off`() async throws {
        let clock = ManualClock()
        let peer = try await Peer.board()
        let board = try await board(peer.port, clock: clock)
        try await strand(board, peer, clock)
        // It refuses off, but its coils fell when it was restarted.
        try await with(.board("--stuck", "2", at: peer.port)) { next in
            for _ in 0..<2 { _ = try await board.doors() }
            #expect(try await next.writes.map(\.coil) == [2])
        }
    }

    @Test func `of a process that died in the middle of a pulse is found by the next one`()
        async throws
    {
        try await with(.board()) { peer in
            let clock = ManualClock()
            let first = try await board(peer.port, clock: clock)
            try await first.start()
            let open = Task { try await first.open(3, 500) }
            await clock.waitForSleepers(1)
            // Its clock stands still: for the board that is as good as dead.
            let second = try await board(peer.port)
            try await second.start()
            #expect(try await peer.offs.isEmpty)
            _ = try await second.doors()
            #expect(try await peer.offs.map(\.coil) == [2])
            // Once, not at every look.
            _ = try await second.doors()
            #expect(try await peer.offs.count == 1)
            clock.advance(by: .milliseconds(500))
            _ = try await open.value
        }
    }

    @Test func `of a process that died is an alarm, and is left alone, where off is not safe`()
        async throws
    {
        try await with(.board()) { peer in
            let clock = ManualClock()
            let first = try await board(peer.port, isSafe: false, clock: clock)
            try await first.start()
            let open = Task { try await first.open(3, 500) }
            await clock.waitForSleepers(1)
            let bench = try await Bench(
                Bench.tcpText(peer.port, board: "unsafe"), boards: Self.unsafe)
            let second = try #require(bench.controllers["board"])
            try await second.start()
            for _ in 0..<2 {
                let read = try await failure { () async throws(LockerError) in
                    try await second.readDoors()
                }
                #expect(read.code == .outputStuck && read.message.contains("locker 3"))
                let other = try await failure { () async throws(LockerError) in
                    try await second.open(5)
                }
                #expect(other.code == .outputStuck && other.fired == .no && other.sent == .no)
            }
            #expect(bench.log.lines.filter { $0.level == .error }.count == 1)
            #expect(try await peer.writes.count == 1)
            // Somebody switches it off: here the first process, which was only asleep.
            clock.advance(by: .milliseconds(500))
            _ = try await open.value
            #expect(try await second.doors().count == 8)
            #expect(try await second.open(5).evidence == .echo)
            #expect(try await peer.writes.map(\.coil) == [2, 2, 4, 4])
        }
    }

    @Test func `is not looked for without end on a board that leaves that question unanswered`()
        async throws
    {
        try await with(.liar("silent", "--function", "1")) { peer in
            let bench = try await Bench(Bench.tcpText(peer.port, options: "response_ms = 100"))
            let board = try #require(bench.controllers["board"])
            for lives in 1...2 {
                try await board.start()
                for _ in 0..<6 { #expect(try await board.doors().count == 8) }
                #expect(try await questions(peer) == lives * Limits.unansweredSurveys)
                #expect(bench.log.lines.filter { $0.message.contains("function 1") }.count == lives)
                try await board.stop()
            }
        }
    }

    @Test func `is looked for as long as the board answers nothing at all`() async throws {
        try await with(.liar("deaf")) { peer in
            let bench = try await Bench(Bench.tcpText(peer.port, options: "response_ms = 50"))
            let board = try #require(bench.controllers["board"])
            try await board.start()
            for _ in 0..<5 { _ = try? await board.readDoors() }
            #expect(!bench.log.lines.contains { $0.message.contains("function 1") })
        }
    }

    @Test(arguments: [
        "read_back = false", "on = 0x0100", "[doors]\nread = \"coils\"",
    ])
    func `is not looked for where function 1 would not show it`(lines: String) async throws {
        let profile = "lockers = 8\n[coils]\npulse = \"host\"\n\(lines)\n"
        let link = try await Bench.load(
            Bench.tcpText(502, board: "odd"), boards: ["odd": profile])
        #expect(try BoardPlan(link.controllers[0]).coils == nil)
    }

    /// How often the peer was asked for its coils.
    private func questions(_ peer: Peer) async throws -> Int {
        try await peer.events.filter { $0.hex?.dropFirst(21).hasPrefix("01") == true }.count
    }
}

extension Task where Failure == any Error {
    /// What it failed with; nil where it did not.
    fileprivate var failure: (any Error)? {
        get async {
            do {
                _ = try await value
                return nil
            } catch {
                return error
            }
        }
    }
}
