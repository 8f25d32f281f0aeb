import DriverBench
import LockerKit
import TestSupport
import Testing

@testable import ModbusDriver

/// The driver against a peer that breaks the protocol.
@Suite(
    .serialized,
    .enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
struct `A misbehaving peer` {
    /// What one open of locker 3 came to, and what the peer was told.
    private func open(
        _ mode: String, _ arguments: String..., board: String = "generic-coil-8"
    ) async throws -> (result: Result<OpenReport, LockerError>, orders: [String]) {
        let peer: Peer
        switch arguments.count {
        case 0: peer = try await .liar(mode)
        case 2: peer = try await .liar(mode, arguments[0], arguments[1])
        default:
            peer = try await .liar(mode, arguments[0], arguments[1], arguments[2], arguments[3])
        }
        return try await with(peer) { peer in
            let board = try await Bench.tcp(peer.port, board: board, options: "response_ms = 500")
            try await board.start()
            let result: Result<OpenReport, LockerError>
            do throws(LockerError) {
                result = .success(try await board.open(3, 50))
            } catch {
                result = .failure(error)
            }
            return (result, try await peer.orders)
        }
    }

    static let on = "01 05 00 02 ff 00"
    static let off = "01 05 00 02 00 00"

    @Test(arguments: [
        "late", "wrong-tid", "wrong-protocol", "wrong-unit", "wrong-address", "wrong-value",
        "wrong-function", "half", "silent", "reset", "close", "trickle", "random",
    ])
    func `is not believed about one order, is told off, and the door decides`(mode: String)
        async throws
    {
        let (result, orders) = try await open(mode, "--times", "1")
        // The peer opens the door whatever it answers.
        let report = try result.get()
        #expect(
            report.evidence == .none && report.doorBefore == .closed && report.doorAfter == .open)
        #expect(orders == [Self.on, Self.off])
    }

    @Test(arguments: ["late", "wrong-value", "silent", "reset"])
    func `that never confirms off is an alarm, and on was sent once`(mode: String) async throws {
        let (result, orders) = try await open(mode)
        guard case .failure(let error) = result else {
            Issue.record("\(mode) was believed")
            return
        }
        #expect(error.code == .outputStuck && error.fired == .unknown && error.sent == .yes)
        #expect(orders.filter { $0 == Self.on }.count == 1)
        #expect(orders.filter { $0 == Self.off }.count > 2)
    }

    @Test func `that answers late does not keep the coil on`() async throws {
        try await with(.liar("silent", "--times", "1")) { peer in
            let board = try await Bench.tcp(peer.port, options: "response_ms = 1000")
            try await board.start()
            #expect(try await board.open(3, 100).evidence == .none)
            let orders = try await peer.events.filter { $0.hex?.contains(" 01 05 ") == true }
            try #require(orders.count == 2)
            let onTime = orders[1].at - orders[0].at
            #expect(onTime > 0.08 && onTime < 0.6, "the coil was on for \(onTime) s")
        }
    }

    @Test(arguments: [
        (1, LockerError.Code.refused, LockerError.Fired.no), (2, .refused, .no), (3, .refused, .no),
        (4, .refused, .unknown), (5, .refused, .unknown), (6, .busy, .no), (7, .refused, .no),
        (8, .refused, .unknown), (10, .timedOut, .no), (11, .timedOut, .unknown),
        (99, .refused, .unknown),
    ])
    func `that refuses is reported with the exception's name`(
        code: Int, expected: LockerError.Code, fired: LockerError.Fired
    ) async throws {
        try await with(.liar("exception", "--times", "1", "--code", String(code))) { peer in
            let board = try await Bench.tcp(
                peer.port,
                lockers: "[[controller.locker]]\nnumber = 3\nsensor = false\n")
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.open(3)
            }
            #expect(error.code == expected && error.fired == fired && error.sent == .yes)
            #expect(error.message.contains("exception \(code)"))
            #expect(try await peer.orders == (fired == .no ? [Self.on] : [Self.on, Self.off]))
        }
    }

    @Test func `cannot pass a late answer off as the next one`() async throws {
        // The answer to the first open comes 700 ms late: into the time of what follows.
        try await with(.liar("late", "--times", "1", "--delay", "1.2")) { peer in
            let board = try await Bench.tcp(
                peer.port, board: "waveshare-relay-8", options: "response_ms = 500")
            try await board.start()
            // Address 0x0202 is refused by this peer with exception 1: an honest answer, too late.
            let first = try await failure { () async throws(LockerError) in
                try await board.open(3, 100)
            }
            #expect(first.code == .timedOut && first.fired == .unknown)
            for _ in 0..<10 {
                _ = try await board.doors()
                try await Task.sleep(for: .milliseconds(100))
            }
            let second = try await failure { () async throws(LockerError) in
                try await board.open(4, 100)
            }
            #expect(second.code == .refused)
            #expect(try await peer.orders.count == 2)
        }
    }

    @Test func `that answers twice is not heard twice`() async throws {
        try await with(.liar("double")) { peer in
            let board = try await Bench.tcp(peer.port)
            try await board.start()
            for locker in 1...3 {
                let report = try await board.open(locker)
                #expect(report.evidence == .echo && report.doorAfter == .open)
            }
            #expect(try await peer.orders.count == 6)
        }
    }

    @Test(arguments: ["late", "wrong-tid", "half", "silent", "reset", "close", "random", "trickle"])
    func `cannot make a read of the doors lie or hang`(mode: String) async throws {
        try await with(.liar(mode, "--function", "2", "--times", "1", "--delay", "0.9")) { peer in
            let board = try await Bench.tcp(peer.port, options: "response_ms = 500")
            try await board.start()
            do throws(LockerError) {
                // A connection that was cut before the question was asked is only made anew.
                #expect(try await board.readDoors().count == 8)
            } catch {
                #expect(error.code == .timedOut || error.code == .linkDown)
            }
            try await eventually("the doors are read again") {
                (try? await board.doors().count) == 8
            }
        }
    }

    @Test func `that accepts and says nothing costs no more than the limits`() async throws {
        try await with(.liar("deaf")) { peer in
            let board = try await Bench.tcp(peer.port, options: "response_ms = 150")
            try await board.start()
            let began = ContinuousClock.now
            let error = try await failure { () async throws(LockerError) in try await board.open(1)
            }
            #expect(error.code == .timedOut && error.fired == .no && error.sent == .no)
            #expect(began.duration(to: .now) < .seconds(4))
        }
    }

    @Test func `never holds a thread that others need`() async throws {
        try await with(.liar("deaf")) { peer in
            let boards = try await withThrowingTaskGroup(of: (any LockController).self) { group in
                for _ in 0..<16 {
                    group.addTask { try await Bench.tcp(peer.port, options: "response_ms = 1000") }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for board in boards { try await board.start() }
            let ended = Ended()
            let reads = boards.map { board in
                Task {
                    _ = try? await board.readDoors()
                    await ended.note()
                }
            }
            // More reads than the pool has threads are stuck by now, and still there are turns for everybody else.
            for _ in 0..<20 { try await Task.sleep(for: .milliseconds(5)) }
            #expect(await ended.count == 0)
            for read in reads { await read.value }
            #expect(await ended.count == 16)
        }
    }

    @Test(arguments: [
        "wrong-tid", "wrong-protocol", "wrong-unit", "wrong-function", "half", "close",
    ])
    func `is not believed about the doors, and the next answer is`(mode: String) async throws {
        try await with(.liar(mode, "--function", "2", "--times", "1")) { peer in
            let board = try await Bench.tcp(peer.port, options: "response_ms = 200")
            try await board.start()
            if mode == "close" {
                // A connection that has ended is no answer; the question is asked again on another.
                #expect(try await board.doors().count == 8)
            } else {
                let error = try await failure { () async throws(LockerError) in
                    try await board.readDoors()
                }
                #expect([.timedOut, .linkDown].contains(error.code), "\(error)")
            }
            #expect(try await board.doors() == Array(repeating: .closed, count: 8))
        }
    }

    @Test func `that sends random bytes neither opens nor crashes anything`() async throws {
        for seed in 1...6 {
            try await with(.liar("random", "--function", "2", "--seed", String(seed))) { peer in
                let board = try await Bench.tcp(peer.port, options: "response_ms = 60")
                try await board.start()
                for _ in 0..<10 { _ = try? await board.readDoors() }
                let error = try await failure { () async throws(LockerError) in
                    try await board.open(1)
                }
                #expect(error.fired == .no)
                #expect(try await peer.orders.isEmpty)
            }
        }
    }

    @Test func `sees the very bytes that Modbus TCP prescribes`() async throws {
        try await with(.liar("honest")) { peer in
            let board = try await Bench.tcp(peer.port)
            try await board.start()
            _ = try await board.open(3)
            let frames = try await peer.events.compactMap(\.hex)
            #expect(
                frames == [
                    "00 00 00 00 00 06 01 01 00 00 00 08", "00 00 00 00 00 06 01 02 00 00 00 08",
                    "00 00 00 00 00 06 01 05 00 02 ff 00", "00 00 00 00 00 06 01 05 00 02 00 00",
                    "00 00 00 00 00 06 01 02 00 00 00 08",
                ])
        }
    }
}

private actor Ended {
    private(set) var count = 0
    func note() { count += 1 }
}
