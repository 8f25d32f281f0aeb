import DriverBench
import Foundation
import LockerKit
import TestSupport
import Testing

@testable import ModbusDriver

/// Boards that differ from the plain kind, served by peers that share no code with the driver.
@Suite(
    .serialized,
    .enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
struct `A board with registers` {
    @Test func `is opened by writing them, and the door tells`() async throws {
        try await with(.board("--registers", "--close-after", "0")) { peer in
            let board = try await Bench.tcp(peer.port, board: "generic-register-8")
            try await board.start()
            let report = try await board.open(3, 100)
            #expect(report.evidence == .echo)
            #expect(report.doorBefore == .closed && report.doorAfter == .open)
            try await board.stop()
            let writes = try await peer.writes
            #expect(writes.map(\.value) == [1, 0] && writes.allSatisfy { $0.coil == 2 })
        }
    }

    @Test func `that knows only the other function is refused by name and held on by nobody`()
        async throws
    {
        try await with(.board()) { peer in
            let board = try await Bench.tcp(peer.port, board: "generic-register-8")
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.open(3, 100)
            }
            #expect(error.code == .refused && error.fired == .no)
            #expect(error.message.contains("refused: exception"))
            #expect(try await peer.writes.isEmpty)
            // The coil was not ours for a moment: nothing has to be switched off.
            #expect(try await board.doors().count == 8)
        }
    }

    @Test func `is read back at a start, and a coil that is on is switched off`() async throws {
        let sure = """
            lockers = 8
            [coils]
            pulse = "host"
            write = "register"
            on = 1
            off = 0
            off_is_safe = true
            [doors]
            read = "discrete-inputs"
            """
        func bench(_ port: Int) async throws -> any LockController {
            let bench = try await Bench(
                Bench.tcpText(port, board: "sure"), boards: ["sure": sure])
            return try #require(bench.controllers["board"])
        }
        try await with(.board("--registers")) { peer in
            let first = try await bench(peer.port)
            try await first.start()
            // Left in the middle of its pulse, as by a module that is killed.
            let open = Task { try? await first.open(6, 1000) }
            try await eventually("the coil is on") { try await peer.ons.count == 1 }
            let second = try await bench(peer.port)
            try await second.start()
            #expect(try await second.doors().count == 8)
            #expect(try await peer.writes.map(\.coil) == [5, 5])
            #expect(try await peer.writes.map(\.value) == [1, 0])
            _ = await open.value
        }
    }
}

/// What a profile says of its board's pace.
@Suite(
    .serialized,
    .enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
struct `A board that takes its time` {
    private static let board = """
        lockers = 8
        [coils]
        pulse = "host"
        read_back = false
        off_is_safe = true
        [doors]
        read = "discrete-inputs"

        """

    private func doors(_ timing: String) async throws -> Result<[DoorState], LockerError> {
        try await with(.liar("late", "--function", "2", "--delay", "0.15")) { peer in
            let bench = try await Bench(
                Bench.tcpText(peer.port, board: "own", options: "response_ms = 20"),
                boards: ["own": Self.board + timing])
            let board = try #require(bench.controllers["board"])
            try await board.start()
            do throws(LockerError) { return .success(try await board.doors()) } catch {
                return .failure(error)
            }
        }
    }

    @Test func `is waited for as long as its profile says`() async throws {
        #expect(try await doors("[timing]\nresponse_ms = 1000\n").get().count == 8)
        guard case .failure(let error) = try await doors("") else {
            Issue.record("an answer after 150 ms came within 20 ms")
            return
        }
        #expect(error.code == .timedOut && error.message.contains("within 20 ms"))
    }

    @Test func `on a serial line it does not have is refused`() async throws {
        let text = Line.text("/dev/none", "waveshare-eth-relay-8", "")
        await #expect(
            throws: LockerError(
                .invalidRequest, "the board of board has no serial line; want transport = \"tcp\"")
        ) { _ = try await Bench(text) }
    }
}
