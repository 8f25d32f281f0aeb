import DriverBench
import LockerKit
import LockerKitTesting
import Logging
import TestSupport
import Testing

@testable import SerialBoardDriver

private let whyNot = Checkout.whyNoPeers

/// The driver against simulated boards on a pseudo terminal.
@Suite(.serialized, .enabled(if: whyNot == nil || Checkout.isCI, "\(whyNot ?? "")"))
struct `A board of each family` {
    @Test(arguments: Family.all)
    func `opens one lock and shows its door`(family: Family) async throws {
        try await family.run { board, peer, _ in
            try await board.start()
            #expect(try await board.openDoors(of: family.lockers) == [])
            let report = try await board.open(3)
            #expect(report.evidence == .echo)
            #expect(report.doorBefore == .closed && report.doorAfter == .open)
            #expect(try await board.openDoors(of: family.lockers) == [3])
            _ = try await board.open(family.lockers)
            try await board.stop()
            #expect(try await peer.fired == [3, family.lockers])
            #expect(try await peer.orders == 2)
        }
    }

    @Test(arguments: Family.all)
    func `is reached through a converter, too`(family: Family) async throws {
        try await family.run(overTCP: true) { board, peer, _ in
            try await board.start()
            #expect(try await board.open(1).evidence == .echo)
            #expect(try await board.openDoors(of: family.lockers) == [1])
            #expect(try await peer.fired == [1])
        }
    }

    /// Nothing is sent to a board that nobody asked for anything.
    @Test(arguments: Family.all)
    func `is sent nothing by a start and a stop`(family: Family) async throws {
        try await family.run { board, peer, _ in
            try await board.start()
            try await board.stop()
            #expect(try await peer.events.isEmpty)
        }
    }

    /// Boards that fire and stay silent are why people repeat orders; this driver looks at the door.
    @Test(arguments: Family.all, ["reply-lost", "garbage", "half", "bad-check", "other-address"])
    func `whose answer is lost is believed in its door, and never asked again`(
        family: Family, fault: String
    ) async throws {
        try await family.run(["--fault", "\(fault),on=open"], options: "response_ms = 100") {
            board, peer, _ in
            try await board.start()
            let report = try await board.open(2)
            #expect(report.evidence == .none)
            #expect(report.doorBefore == .closed && report.doorAfter == .open)
            #expect(try await peer.orders == 1)
            #expect(try await peer.fired == [2])
        }
    }

    @Test(arguments: Family.all)
    func `that stays silent with its door closed has perhaps fired`(family: Family) async throws {
        let faults = ["--fault", "reply-lost,on=open", "--fault", "jam"]
        try await family.run(faults, options: "response_ms = 100") { board, peer, _ in
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.open(2)
            }
            #expect(error.code == .timedOut && error.fired == .unknown && error.sent == .yes)
            #expect(error.message.contains("did not answer within"))
            #expect(try await peer.orders == 1)
        }
    }

    @Test(arguments: Family.all)
    func `that acknowledges and does nothing is not called open`(family: Family) async throws {
        try await family.run(["--fault", "ignored"]) { board, peer, _ in
            try await board.start()
            let report = try await board.open(2)
            #expect(report.evidence == .echo && report.doorAfter == .closed)
            #expect(try await peer.fired == [])
        }
    }

    @Test(arguments: Family.all)
    func `is not asked to fire where it does not answer at all`(family: Family) async throws {
        try await family.run(["--fault", "silence"], options: "response_ms = 100") {
            board, peer, _ in
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.open(2)
            }
            #expect(error.code == .timedOut && error.fired == .no && error.sent == .no)
            #expect(try await peer.orders == 0)
        }
    }

    @Test(arguments: Family.all)
    func `is never taken from an answer that came too late`(family: Family) async throws {
        // The answer about the closed door comes while the next question waits for its own.
        // The 8A/80 profile has more patience of its own.
        let late = family.word == "8a80" ? 1020 : 110
        let fault = ["--fault", "late=\(late),on=status,first=1,count=1"]
        try await family.run(fault, options: "response_ms = 100") { board, peer, _ in
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.readDoors()
            }
            #expect(error.code == .timedOut)
            let report = try await board.open(1)
            #expect(report.doorAfter == .open)
            #expect(try await peer.fired == [1])
        }
    }

    @Test(arguments: Family.all, ["fafd9999", "02008001900757"])
    func `is heard through noise`(family: Family, noise: String) async throws {
        try await family.run(["--fault", "noise=\(noise)"]) { board, peer, _ in
            try await board.start()
            #expect(try await board.open(4).evidence == .echo)
            #expect(try await board.openDoors(of: family.lockers) == [4])
        }
    }

    /// An adapter that hears itself would make a success of every order to an 8A/80 board.
    @Test(arguments: Family.all)
    func `is not mistaken for an adapter that hears itself`(family: Family) async throws {
        let faults = ["--fault", "local-echo"]
        try await family.run(faults) { board, peer, _ in
            try await board.start()
            #expect(try await board.open(4).evidence == .echo)
            #expect(try await board.openDoors(of: family.lockers) == [4])
        }
        // The first question comes back in pieces: that the line repeats nothing is not known then.
        try await family.run(["--fault", "noise=8a01ff,on=status,first=1,count=1"]) {
            board, peer, _ in
            try await board.start()
            _ = try await board.open(4)
            #expect(try await peer.fired == [4])
        }
        let deaf = faults + ["--fault", "silence,on=open"]
        try await family.run(deaf, options: "response_ms = 100") { board, peer, _ in
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.open(4)
            }
            #expect(error.code == .timedOut && error.fired == .unknown)
            #expect(try await peer.fired == [])
        }
    }

    @Test(arguments: Family.all)
    func `that was unplugged is found again`(family: Family) async throws {
        try await family.run(["--fault", "unplug=0.4,on=status,first=2,count=1"]) {
            board, peer, _ in
            try await board.start()
            _ = try await board.readDoors()
            try await eventually("it is gone") { (try? await board.readDoors()) == nil }
            try await eventually("it is back") { (try? await board.readDoors()) != nil }
            #expect(try await board.open(1).evidence == .echo)
            #expect(try await peer.fired == [1])
        }
    }
}

/// A simulator that breaks the same promises as the driver would prove nothing.
@Suite(.enabled(if: whyNot == nil || Checkout.isCI, "\(whyNot ?? "")"))
struct `The simulator of boards` {
    @Test func `keeps to byte tables, to the pace of a line, and to pymodbus and mbpoll`()
        async throws
    {
        let check = try ChildProcess(
            Checkout.python, ["-u", "\(Checkout.root)/Tests/Bench/wire/selfcheck.py"])
        let status = try await check.exitStatus(within: .seconds(120))
        #expect(status == 0, "\(check.standardOutput)")
        #expect(!check.standardOutput.contains("FAIL"))
    }
}

/// What one family does and no other.
@Suite(.serialized, .enabled(if: whyNot == nil || Checkout.isCI, "\(whyNot ?? "")"))
struct `The quirks of a family` {
    @Test func `a coil that has to cool down is a limit, and nothing fired`() async throws {
        try await Family.winnsen.run(["--cooldown-ms", "5000"]) { board, peer, _ in
            try await board.start()
            _ = try await board.open(1)
            let error = try await failure { () async throws(LockerError) in
                try await board.open(1)
            }
            #expect(error.code == .dutyLimit && error.fired == .no && error.sent == .yes)
            #expect(try await peer.fired == [1])
        }
    }

    @Test(arguments: [Family.winnsen, .wkly])
    func `a refusal is named, and whether the lock fired stays open`(
        family: Family
    ) async throws {
        try await family.run(["--fault", "refuse,on=open"]) { board, peer, _ in
            try await board.start()
            let error = try await failure { () async throws(LockerError) in
                try await board.open(1)
            }
            #expect(error.code == .refused && error.fired == .unknown)
            #expect(error.message.contains("failed"))
        }
    }

    @Test(arguments: ["lowest-first", "highest-first"])
    func `the states of all locks come in the order that the profile says`(
        order: String
    ) async throws {
        let profile = """
            lockers = 24
            family = "8a80"
            [orders]
            pulse_ms = 300
            [doors]
            read = "all"
            order = "\(order)"
            open = 0
            """
        var family = Family.hex
        family.controller = ""
        let shipped = family
        let mine = Family(
            word: shipped.word, profile: "mine", address: 1, lockers: 24, baud: 9600)
        try await mine.run(["--state-order", order], boards: ["mine": profile]) { board, _, _ in
            try await board.start()
            _ = try await board.open(2)
            _ = try await board.open(17)
            #expect(try await board.openDoors(of: 24) == [2, 17])
        }
    }

    @Test func `doors whose feedback nobody has explained are unknown`() async throws {
        var family = Family.hex
        family.controller = ""
        try await family.run { board, peer, bench in
            try await board.start()
            #expect(bench.log.lines.contains { $0.message.contains("open_level") })
            let report = try await board.open(1)
            #expect(report.evidence == .echo && report.doorAfter == .unknown)
            #expect(try await peer.fired == [1])
            let doors = try await board.readDoors()
            #expect(doors.allSatisfy { $0.door.value == .unknown } && !doors.isEmpty)
        }
    }

    @Test func `the feedback can mean the opposite, of all locks or of one`() async throws {
        var family = Family.hex
        family.controller = "open_level = 1"
        family.arguments = ["--active-is", "open"]
        let odd = "[[controller.locker]]\nnumber = 5\nsensor_inverted = true"
        try await family.run(lockers: odd) { board, _, _ in
            try await board.start()
            #expect(try await board.open(2).doorAfter == .open)
            #expect(try await board.openDoors(of: 24) == [2, 5])
        }
    }

    @Test func `a board that answers no order is believed in its door alone`() async throws {
        let profile = """
            lockers = 24
            family = "wkly"
            [orders]
            pulse_ms = 500
            answered = false
            [doors]
            read = "all"
            open = 0
            """
        let mine = Family(word: "wkly", profile: "mine", address: 1, lockers: 24, baud: 9600)
        let options = ["--no-open-reply", "--fault", "jam,lock=2"]
        try await mine.run(options, options: "response_ms = 100", boards: ["mine": profile]) {
            board, peer, _ in
            try await board.start()
            #expect(board.capabilities.evidence == .none)
            #expect(try await board.open(1).evidence == .none)
            let error = try await failure { () async throws(LockerError) in
                try await board.open(2)
            }
            #expect(error.code == .timedOut && error.fired == .unknown)
            #expect(try await peer.fired == [1, 2])
        }
    }

    @Test func `what a board tells unasked is no answer`() async throws {
        for family in [Family.hex, .wkly] {
            try await family.run(["--push"]) { board, _, _ in
                try await board.start()
                #expect(try await board.open(6).doorAfter == .open)
                #expect(try await board.openDoors(of: family.lockers) == [6])
            }
        }
    }

    @Test func `locks that are read one by one keep an open waiting for eight of them at most`()
        async throws
    {
        try await Family.winnsen.run { board, peer, _ in
            try await board.start()
            #expect(try await board.readDoors().map(\.locker) == Array(1...8))
            #expect(try await board.readDoors().map(\.locker) == Array(9...16))
            _ = try await board.open(12)
            // The door that somebody waits for comes first.
            #expect(try await board.readDoors().first?.locker == 12)
        }
    }

    @Test func `one channel that never answers does not hide the others`() async throws {
        let fault = ["--fault", "silence,on=status,lock=3"]
        try await Family.winnsen.run(fault, options: "response_ms = 100") { board, _, _ in
            try await board.start()
            var seen: Set<Int> = []
            for _ in 0..<8 {
                for reading in (try? await board.readDoors()) ?? [] { seen.insert(reading.locker) }
            }
            #expect(seen == Set(1...16).subtracting([3]))
        }
    }
}
