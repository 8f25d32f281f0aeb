import DriverBench
import LockerKit
import LockerKitTesting
import Logging
import TestSupport
import Testing

@testable import ModbusDriver

private let whyNot = Checkout.whyNoPeers

extension Vector {
    /// Runs `body` with the driver on a line, or a network, with a simulated board of this profile.
    func onWire(
        _ faults: [String] = [], options: String = "",
        _ body: (any LockController, Peer) async throws -> Void
    ) async throws {
        try await withTemporaryDirectory { folder in
            let device = "\(folder)/line"
            let words =
                ["--profile", board, "--boards", "\(unit)", "--close-after", "0"]
                + (isTCP ? ["--tcp", "0"] : ["--pty", device])
                + faults.flatMap { ["--fault", $0] }
            try await with(.wire(words)) { peer in
                let text = text(device: device, port: peer.port).replacing(
                    "[[controller]]", with: options + "\n[[controller]]", maxReplacements: 1)
                let bench = try await Bench(text)
                try await body(try #require(bench.controllers["board"]), peer)
                let violations = try await peer.events.filter { $0.kind == "violation" }
                #expect(violations.isEmpty, "\(violations.map(\.name))")
            }
        }
    }

    /// Long enough for an answer to an on to come within it, on a busy machine too.
    var calmPulse: Int { max(pulse, 400) }

    /// Whether the profile reads its doors.
    var hasDoors: Bool { board != "waveshare-relay-16" }
}

extension Peer {
    /// The locks that were energised.
    var fired: [Int] {
        get async throws { try await events.filter { $0.kind == "fired" }.compactMap(\.coil) }
    }
}

/// Each shipped profile against a board that keeps the pace of its line and breaks on demand.
@Suite(.enabled(if: whyNot == nil || Checkout.isCI, "\(whyNot ?? "")"))
struct `A board of a shipped profile` {
    @Test(arguments: Vector.all)
    func `fires its locks, one at a time, and shows their doors`(vector: Vector) async throws {
        try await vector.onWire { board, peer in
            try await board.start()
            let report = try await board.open(vector.locker, vector.calmPulse)
            #expect(report.evidence == .echo)
            #expect(report.doorAfter == (vector.hasDoors ? .open : nil))
            _ = try await board.open(1, vector.calmPulse)
            try await board.stop()
            #expect(try await peer.fired == [vector.locker, 1])
            try await eventually("every coil has fallen") {
                try await peer.events.filter { $0.kind == "fell" }.count == 2
            }
        }
    }

    /// Every way in which an answer can be lost or wrong: fired once, and truly told.
    @Test(
        arguments: Vector.all,
        ["reply-lost", "garbage", "half", "bad-check", "other-address", "duplicate", "late=450"])
    func `whose answer is lost is believed in its door, and fires once`(
        vector: Vector, fault: String
    ) async throws {
        // Over TCP a late answer within the time is an answer.
        guard !vector.isTCP || fault != "other-address" else { return }
        let faults = ["\(fault),on=open,first=1,count=1"]
        try await vector.onWire(faults, options: "response_ms = 300") { board, peer in
            try await board.start()
            do throws(LockerError) {
                let report = try await board.open(vector.locker, vector.calmPulse)
                #expect(vector.hasDoors && report.doorAfter == .open)
            } catch {
                // An answer that is later than any patience may hit the look at the door, too.
                #expect(!vector.hasDoors || fault.hasPrefix("late"), "\(error)")
                #expect(error.fired == .unknown, "\(error)")
            }
            #expect(try await peer.fired == [vector.locker])
            try await eventually("the coil has fallen") {
                try await peer.events.contains { $0.kind == "fell" }
            }
        }
    }

    @Test(arguments: Vector.all)
    func `that is silent is sent no order`(vector: Vector) async throws {
        guard vector.hasDoors else { return }
        try await vector.onWire(["silence"], options: "response_ms = 100") { board, peer in
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.open(vector.locker, vector.calmPulse)
            }
            #expect(error.code == .timedOut && error.fired == .no)
            #expect(try await peer.fired == [])
        }
    }

    @Test(arguments: Vector.all)
    func `that acknowledges and does nothing, or jams, is not called open`(
        vector: Vector
    ) async throws {
        guard vector.hasDoors else { return }
        // An inverted board that ignored the order is released all the same, which its simulator calls a violation: the driver cannot
        // know that nothing happened.
        let isInverted = vector.board.contains("inverted")
        for fault in ["jam", "stuck-sensor=closed"] + (isInverted ? [] : ["ignored"]) {
            try await vector.onWire(["\(fault),lock=\(vector.locker)"]) { board, _ in
                try await board.start()
                let report = try await board.open(vector.locker, vector.calmPulse)
                #expect(report.doorAfter == .closed, "\(fault)")
            }
        }
    }

    @Test(arguments: Vector.all.filter { $0.board.contains("inverted") })
    func `that is inverted is never told to release what it was not told to fire`(
        vector: Vector
    ) async throws {
        try await vector.onWire { board, peer in
            func orders() async throws -> [String] {
                try await peer.events.filter { $0.kind == "request" }.compactMap(\.hex)
                    .map { String($0.dropFirst(3).prefix(14)) }.filter { $0.hasPrefix("05") }
            }
            for _ in 0..<2 {
                try await board.start()
                for _ in 0..<3 { _ = try await board.readDoors() }
                try await board.stop()
            }
            #expect(try await orders() == [])
            try await board.start()
            #expect(try await board.open(2, vector.calmPulse).evidence == .echo)
            try await board.stop()
            #expect(try await orders() == ["05 00 01 00 00", "05 00 01 ff 00"])
        }
    }

    @Test(arguments: Vector.all)
    func `that was unplugged is found again`(vector: Vector) async throws {
        guard vector.hasDoors else { return }
        try await vector.onWire(["unplug=0.4,on=status,first=2,count=1"]) { board, peer in
            try await board.start()
            _ = try await board.readDoors()
            try await eventually("it is gone") { (try? await board.readDoors()) == nil }
            try await eventually("it is back") { (try? await board.readDoors()) != nil }
            #expect(try await board.open(1, vector.calmPulse).evidence == .echo)
        }
    }
}
