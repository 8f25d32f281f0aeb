import DriverBench
import LockerKit
import TestSupport
import Testing

@testable import ModbusDriver

/// The driver against boards that libmodbus serves: its reading of requests, its replies, its exceptions.
///
/// The driver's own frames go through the same library, so these are not the only peers; what they add is the reading side of it,
/// which many boards and gateways are built on.
@Suite(
    .serialized,
    .enabled(if: Checkout.compiler != nil || Checkout.isCI, "no C compiler for the peer"))
struct `A libmodbus board` {
    struct Case: Sendable, CustomTestStringConvertible {
        let profile: String
        let locker: Int
        /// Registers or coils that were written, and with what.
        let orders: [[Int]]
        var testDescription: String { profile }
    }

    private static let cases = [
        Case(profile: "generic-coil-8", locker: 3, orders: [[2, 0xFF00], [2, 0]]),
        Case(profile: "generic-coil-16", locker: 16, orders: [[15, 0xFF00], [15, 0]]),
        Case(profile: "generic-register-8", locker: 8, orders: [[7, 1], [7, 0]]),
        Case(profile: "eletechsup-n4d8b08", locker: 3, orders: [[3, 0x0500]]),
    ]

    private func with(
        _ profile: String, isSerial: Bool,
        _ body: (Peer, any LockController) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { folder in
            let terminal = "\(folder)/line"
            let peer =
                isSerial
                ? try await Peer.libmodbus(folder, "pty", terminal, "1")
                : try await Peer.libmodbus(folder, "tcp", "0")
            try await ModbusTests.with(peer) { peer in
                let text =
                    isSerial
                    ? """
                    [link]
                    transport = "rtu"
                    device = "\(terminal)"
                    baud = 19200
                    [[controller]]
                    id = "board"
                    board = "\(profile)"
                    unit = 1
                    first_id = 1
                    """ : Bench.tcpText(peer.port, board: profile)
                let bench = try await Bench(text)
                let board = try #require(bench.controllers["board"])
                try await board.start()
                try await body(peer, board)
                try await board.stop()
            }
        }
    }

    @Test(arguments: cases, [true, false])
    func `is opened, and the door tells`(_ one: Case, isSerial: Bool) async throws {
        try await with(one.profile, isSerial: isSerial) { peer, board in
            let before = try await board.doors()
            #expect(!before.isEmpty && before.allSatisfy { $0 == .closed })
            let report = try await board.open(one.locker, 1000)
            #expect(report.evidence == .echo)
            #expect(report.doorBefore == .closed && report.doorAfter == .open)
            let after = try await board.doors()
            #expect(after.indices.filter { after[$0] != .closed } == [one.locker - 1])
            let orders = try await peer.writes.map { [$0.coil, $0.value] }
            #expect(orders == one.orders.map { $0.map(Int?.some) })
        }
    }

    /// libmodbus takes nothing but on and off for a coil, as the specification has it; "flash on" is a maker's own.
    @Test(arguments: [true, false])
    func `refuses a pulse of its own by name, and has not fired`(isSerial: Bool) async throws {
        try await with("waveshare-relay-8", isSerial: isSerial) { peer, board in
            let error = try await failure { () async throws(LockerError) in
                try await board.open(3)
            }
            #expect(error.code == .refused && error.fired == .no && error.sent == .yes)
            #expect(error.message.contains("illegal data address"), "\(error.message)")
            #expect(try await peer.writes.isEmpty)
            #expect(try await board.doors().count == 8)
        }
    }
}
