import DriverBench
import LockerKit
import LockerKitTesting
import TestSupport
import Testing

@testable import ModbusDriver

/// The driver against a board served by pymodbus.
@Suite(
    .serialized,
    .enabled(if: Checkout.whyNoPeers == nil || Checkout.isCI, "\(Checkout.whyNoPeers ?? "")"))
struct `A pymodbus board` {
    // MARK: Honest opens

    @Test func `is opened with one pulse, and the door tells`() async throws {
        try await with(.board("--close-after", "0")) { peer in
            let board = try await Bench.tcp(peer.port)
            try await board.start()
            #expect(try await board.doors() == Array(repeating: .closed, count: 8))
            #expect(try await peer.writes.isEmpty)
            let report = try await board.open(3, 300)
            #expect(report.evidence == .echo)
            #expect(report.doorBefore == .closed && report.doorAfter == .open)
            #expect(report.pulse >= .milliseconds(300) && report.bus > .zero)
            #expect(try await board.doors()[2] == .open)
            #expect(try await board.open(3).doorBefore == .open)
            try await board.stop()
            let writes = try await peer.writes
            try #require(
                writes.map(\.value) == [0xFF00, 0, 0xFF00, 0] && writes.allSatisfy { $0.coil == 2 })
            let onTime = writes[1].at - writes[0].at
            #expect(onTime > 0.25 && onTime < 1, "the coil was on for \(onTime) s")
        }
    }

    @Test func `counts the pulse itself where its profile says so`() async throws {
        try await with(.board()) { peer in
            let board = try await Bench.tcp(peer.port, board: "waveshare-relay-8")
            try await board.start()
            #expect(board.capabilities.pulseTiming == .board)
            let report = try await board.open(5, 250)
            #expect(report.evidence == .echo && report.pulse == .milliseconds(200))
            #expect(report.doorAfter == .open)
            try await eventually("the coil falls") {
                try await peer.events.contains { $0.kind == "fell" }
            }
            try await board.stop()
            #expect(try await peer.writes.map(\.value) == [2])
            #expect(try await peer.writes.map(\.coil) == [4])
        }
    }

    @Test func `holds no coil longer than its profile allows`() async throws {
        try await with(.board()) { peer in
            let board = try await Bench.tcp(peer.port, board: "waveshare-relay-8")
            try await board.start()
            #expect(try await board.open(1, 5000).pulse == .seconds(1))
            #expect(try await peer.writes.map(\.value) == [10])
        }
    }

    @Test func `is not asked for a pulse shorter than it can count`() async throws {
        try await with(.board()) { peer in
            let board = try await Bench.tcp(peer.port, board: "waveshare-relay-8")
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.open(1, 99)
            }
            #expect(error.code == .invalidRequest && error.fired == .no && error.sent == .no)
            #expect(error.message.contains("99 ms") && error.message.contains("100 ms"))
            #expect(try await peer.writes.isEmpty)
        }
    }

    @Test func `with a jammed door is not called open`() async throws {
        try await with(.board("--jam", "1")) { peer in
            let board = try await Bench.tcp(peer.port)
            try await board.start()
            let report = try await board.open(2)
            #expect(report.doorBefore == .closed && report.doorAfter == .closed)
        }
    }

    @Test func `obeys the exceptions of single lockers`() async throws {
        try await with(.board("--close-after", "0")) { peer in
            let board = try await Bench.tcp(
                peer.port, options: "spacing_ms = 5",
                lockers: """
                    lockers = 3
                    [[controller.locker]]
                    number = 1
                    coil = 6
                    input = 6
                    [[controller.locker]]
                    number = 2
                    sensor = false
                    [[controller.locker]]
                    number = 3
                    sensor_inverted = true
                    """)
            try await board.start()
            #expect(try await board.readDoors().map(\.locker) == [1, 3])
            #expect(try await board.doors() == [.closed, .open])
            #expect(try await board.open(1).doorAfter == .open)
            let blind = try await board.open(2)
            #expect(blind.doorBefore == nil && blind.doorAfter == nil)
            #expect(try await peer.ons.map(\.coil) == [6, 1])
        }
    }

    // MARK: Refusals and losses

    @Test func `that refuses has not fired`() async throws {
        try await with(.board("--exception", "2:2", "--exception", "3:4")) { peer in
            let board = try await Bench.tcp(peer.port)
            try await board.start()
            let refused = try await failure { () async throws(LockerError) in
                try await board.open(3)
            }
            #expect(refused.code == .refused && refused.fired == .no && refused.sent == .yes)
            #expect(refused.message.contains("illegal data address"))
            #expect(try await peer.writes.count == 1)
            // It failed while it tried: it may have fired, so it is switched off.
            let failed = try await failure { () async throws(LockerError) in try await board.open(4)
            }
            #expect(failed.code == .refused && failed.fired == .unknown)
            #expect(try await peer.offs.map(\.coil) == [3])
            #expect(try await board.open(1).evidence == .echo)
        }
    }

    @Test func `whose answer got lost is judged by the door, and its coil is off`() async throws {
        try await with(.board("--reply-lost", "2", "--reply-lost", "4", "--jam", "4")) { peer in
            let board = try await Bench.tcp(peer.port, options: "response_ms = 500")
            try await board.start()
            let report = try await board.open(3)
            #expect(report.evidence == .none)
            #expect(report.doorBefore == .closed && report.doorAfter == .open)
            #expect(try await peer.ons.count == 1)
            #expect(try await peer.offs.count == 1)
            let error = try await failure { () async throws(LockerError) in try await board.open(5)
            }
            #expect(error.code == .timedOut && error.fired == .unknown && error.sent == .yes)
            // Its coil was not kept on for the sake of an answer.
            #expect(error.message.contains("200 ms"))
            #expect(try await peer.ons.count == 2)
            #expect(try await peer.offs.count == 2)
            #expect(CoilWatch(port: peer.port).energised() == [])
        }
    }

    @Test func `that ends its own pulses and loses the answer is judged by the door`() async throws
    {
        try await with(.board("--reply-lost", "0", "--flash-base", "0x200")) { peer in
            let board = try await Bench.tcp(
                peer.port, board: "waveshare-relay-8", options: "response_ms = 500")
            try await board.start()
            let report = try await board.open(1)
            #expect(report.evidence == .none && report.doorAfter == .open)
            #expect(try await peer.writes.count == 1)
        }
    }

    @Test func `that will not switch off is an alarm`() async throws {
        try await with(.board("--stuck", "2")) { peer in
            let board = try await Bench.tcp(peer.port)
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.open(3)
            }
            #expect(error.code == .outputStuck && error.fired == .yes)
            #expect(try await peer.ons.count == 1)
            let tries = try await peer.offs.count
            #expect(tries > 5 && tries <= 12, "\(tries) tries of off")
            // It is tried again with every read, and by stop.
            let read = try await failure { () async throws(LockerError) in
                try await board.readDoors()
            }
            #expect(read.code == .outputStuck && read.message.contains("locker 3"))
            #expect(try await peer.offs.count == tries + 1)
            let stuck = try await failure { () async throws(LockerError) in try await board.stop() }
            #expect(stuck.code == .outputStuck)
            #expect(try await peer.offs.count > tries + 2)
        }
    }

    @Test func `that goes away is down with a reason, and recovers`() async throws {
        let peer = try await Peer.board()
        let board = try await Bench.tcp(peer.port)
        try await board.start()
        _ = try await board.doors()
        await peer.stop()
        for _ in 0..<3 {
            let error = try await failure { () async throws(LockerError) in
                try await board.readDoors()
            }
            #expect(error.code == .linkDown)
        }
        let resting = try await failure { () async throws(LockerError) in
            try await board.readDoors()
        }
        #expect(resting.message.contains("connection refused; next try in"), "\(resting)")
        let open = try await failure { () async throws(LockerError) in try await board.open(1) }
        #expect(open.code == .linkDown && open.fired == .no && open.sent == .no)
        try await with(.board(at: peer.port)) { peer in
            // An open does not wait for the next try.
            #expect(try await board.open(1).evidence == .echo)
            _ = try await board.doors()
            #expect(try await peer.ons.count == 1)
        }
    }

    @Test func `that was restarted unseen costs no open`() async throws {
        let peer = try await Peer.board()
        let board = try await Bench.tcp(peer.port)
        try await board.start()
        #expect(try await board.open(1).evidence == .echo)
        await peer.stop()
        try await with(.board(at: peer.port)) { next in
            let report = try await board.open(1)
            #expect(report.evidence == .echo)
            #expect(try await next.ons.count == 1)
            #expect(try await next.offs.count == 1)
        }
    }

    @Test func `that falls silent times out and is read again later`() async throws {
        try await with(.board("--silent-after", "4")) { peer in
            let board = try await Bench.tcp(peer.port, options: "response_ms = 400")
            try await board.start()
            for _ in 0..<3 { _ = try await board.doors() }
            let error = try await failure { () async throws(LockerError) in
                try await board.readDoors()
            }
            #expect(error.code == .timedOut && error.message.contains("400 ms"))
            let open = try await failure { () async throws(LockerError) in try await board.open(1) }
            #expect(open.code == .timedOut && open.fired == .no && open.sent == .no)
            #expect(try await peer.writes.isEmpty)
        }
    }

    @Test func `is one of several behind one connection`() async throws {
        try await with(.board("--unit", "1", "--unit", "2")) { peer in
            let bench = try await Bench(
                Bench.tcpText(peer.port, options: "response_ms = 400") + """

                    [[controller]]
                    id = "second"
                    board = "generic-coil-8"
                    unit = 2
                    first_id = 20
                    [[controller]]
                    id = "absent"
                    board = "generic-coil-8"
                    unit = 3
                    first_id = 40
                    """)
            for controller in bench.controllers.values { try await controller.start() }
            let (first, second) = (bench.controllers["board"], bench.controllers["second"])
            for _ in 0..<3 {
                #expect(try await first?.doors().count == 8)
                let absent = try await failure { () async throws(LockerError) in
                    try await bench.controllers["absent"]?.readDoors()
                }
                #expect(absent.code == .timedOut)
                #expect(try await second?.open(1).evidence == .echo)
            }
            try await first?.stop()
            #expect(try await second?.doors().count == 8)
            try await second?.stop()
        }
    }

    // MARK: Ending early

    @Test func `has its coil off when an open is cancelled`() async throws {
        try await with(.board()) { peer in
            let board = try await Bench.tcp(peer.port)
            try await board.start()
            let open = Task {
                try await failure { () async throws(LockerError) in try await board.open(3, 1000) }
            }
            try await eventually("the coil is on") { try await peer.ons.count == 1 }
            open.cancel()
            let error = try await open.value
            #expect(error.code == .cancelled && error.fired == .yes)
            #expect(CoilWatch(port: peer.port).energised() == [])
            let writes = try await peer.writes
            try #require(writes.map(\.isOn) == [true, false])
            #expect(writes[1].at - writes[0].at < 0.9)
        }
    }

    @Test func `is not fired by an open that was cancelled before`() async throws {
        try await with(.board()) { peer in
            let board = try await Bench.tcp(peer.port)
            try await board.start()
            let open = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await failure { () async throws(LockerError) in try await board.open(3) }
            }
            let error = try await open.value
            #expect(error.code == .cancelled && error.fired == .no && error.sent == .no)
            #expect(try await peer.writes.isEmpty)
        }
    }

    @Test func `has its coil off when its controller is stopped`() async throws {
        try await with(.board()) { peer in
            let board = try await Bench.tcp(peer.port)
            try await board.start()
            let open = Task {
                try await failure { () async throws(LockerError) in try await board.open(3, 1000) }
            }
            try await eventually("the coil is on") { try await peer.ons.count == 1 }
            try await board.stop()
            #expect(CoilWatch(port: peer.port).energised() == [])
            #expect(try await open.value.code == .cancelled)
            // Nothing but what it switched on itself was switched off.
            #expect(try await peer.writes.map(\.coil) == [2, 2])
            let late = try await failure { () async throws(LockerError) in try await board.open(3) }
            #expect(late.code == .linkDown && late.fired == .no)
        }
    }

    @Test func `keeps a pulse whole on a clock turned by hand`() async throws {
        try await with(.board()) { peer in
            let clock = ManualClock()
            let board = try await Bench.tcp(peer.port, clock: clock)
            try await board.start()
            let open = Task { try await board.open(3, 500) }
            await clock.waitForSleepers(1)
            clock.advance(by: .milliseconds(499))
            #expect(CoilWatch(port: peer.port).energised() == [3])
            clock.advance(by: .milliseconds(1))
            #expect(try await open.value.pulse == .milliseconds(500))
            #expect(CoilWatch(port: peer.port).energised() == [])
        }
    }

    // MARK: The checklist

    @Test(arguments: ["generic-coil-8", "waveshare-relay-8"])
    func `keeps every promise of a driver`(profile: String) async throws {
        let port = freePort()
        let bench = PeerHolder(port: port)
        try await bench.start()
        let description = try await Bench.load(Bench.tcpText(port, board: profile))
        let violations = await DriverChecklist.run(
            DriverFixture(
                lockers: description.controllers[0].lockers, pulse: .milliseconds(400),
                makeController: { try await Bench.tcp(port, board: profile) },
                energised: { CoilWatch(port: port).energised() },
                unplug: { await bench.stop() },
                replug: { try? await bench.start() }))
        #expect(violations.isEmpty)
        await bench.stop()
    }
}

/// A board that is taken away and brought back.
actor PeerHolder {
    private let port: Int
    private var peer: Peer?

    init(port: Int) {
        self.port = port
    }

    func start() async throws { peer = try await .board(at: port) }

    func stop() async {
        await peer?.stop()
        peer = nil
    }
}
