import Foundation
import JSONLines
import LockerKit
import LockerKitTesting
import Logging
import SimulatorDriver
import Testing

@Suite struct SimulatedLockers {
    @Test(arguments: ["board", "host"], [0, 30])
    func `every promise of a driver is kept`(timing: String, latency: Int) async throws {
        let clock = ManualClock()
        let made = Made()
        let fixture = DriverFixture(
            lockers: Bench.lockers(), manual: clock,
            makeController: {
                let description = LinkDescription(
                    name: "yard",
                    options: Options([
                        "pulse_timing": .string(timing), "latency_ms": .int(Int64(latency)),
                    ]),
                    controllers: [
                        ControllerDescription(
                            id: "wall", options: Options(), lockers: Bench.lockers())
                    ])
                let controllers = try SimulatorDriver.makeControllers(
                    for: description,
                    context: DriverContext(
                        link: "yard", clock: clock, logger: LogRecorder().logger),
                    disaster: Disaster(crash: {}, hang: {}))
                made.controller = controllers["wall"]
                return try #require(controllers["wall"])
            },
            energised: { made.controller?.energised ?? [] })
        let violations = await DriverChecklist.run(fixture)
        #expect(violations.isEmpty)
    }

    @Test func `a door opens at once and closes by itself`() async throws {
        let bench = try Bench()
        try await bench.controller.start()
        #expect(try await bench.door(1) == .closed)
        let report = try await bench.open(1)
        #expect(report.doorBefore == .closed)
        #expect(report.doorAfter == .open)
        #expect(report.evidence == .echo)
        #expect(report.pulse == .milliseconds(200))
        #expect(bench.controller.energised == [1])
        bench.clock.advance(by: .milliseconds(1999))
        #expect(bench.controller.energised.isEmpty)
        #expect(try await bench.door(1) == .open)
        bench.clock.advance(by: .milliseconds(1))
        #expect(try await bench.door(1) == .closed)
        #expect(try await bench.door(2) == .closed)
    }

    @Test func `an open needs no time unless the host times the pulse`() async throws {
        let bench = try Bench()
        try await bench.controller.start()
        let before = bench.clock.now
        _ = try await bench.open(1)
        #expect(bench.clock.now == before)

        let slow = try Bench(link: ["pulse_timing": "host"])
        try await slow.controller.start()
        async let report = slow.open(1)
        // The end of the pulse, and the door that will close.
        await slow.clock.waitForSleepers(2)
        #expect(slow.controller.energised == [1])
        slow.clock.advance(by: .milliseconds(200))
        #expect(try await report.doorAfter == .open)
        #expect(slow.controller.energised.isEmpty)
    }

    @Test func `a closing door is reported without being asked for`() async throws {
        let bench = try Bench()
        try await bench.controller.start()
        _ = try await bench.open(2)
        await bench.clock.waitForSleepers()
        bench.clock.advance(by: .seconds(2))
        await until { !bench.pushes.isEmpty }
        #expect(bench.pushes == [.init(controller: "wall", locker: 2, door: .closed)])
    }

    @Test func `a second pulse keeps the door open longer`() async throws {
        let bench = try Bench()
        try await bench.controller.start()
        _ = try await bench.open(1)
        bench.clock.advance(by: .milliseconds(1500))
        #expect(try await bench.open(1).doorBefore == .open)
        bench.clock.advance(by: .milliseconds(1500))
        #expect(try await bench.door(1) == .open)
        bench.clock.advance(by: .milliseconds(500))
        #expect(try await bench.door(1) == .closed)
    }

    @Test func `a door may stay open`() async throws {
        let bench = try Bench(link: ["close_after_ms": 0])
        try await bench.controller.start()
        _ = try await bench.open(1)
        bench.clock.advance(by: .seconds(1_000_000))
        #expect(try await bench.door(1) == .open)
    }

    @Test func `a locker without a sensor opens and shows nothing`() async throws {
        let bench = try Bench()
        try await bench.controller.start()
        let report = try await bench.open(4)
        #expect(report.doorBefore == nil)
        #expect(report.doorAfter == nil)
        #expect(try await bench.controller.readDoors().map(\.locker) == [1, 2, 3])
    }

    @Test func `a call takes the latency it was given`() async throws {
        let bench = try Bench(link: ["latency_ms": 40])
        async let started: Void = bench.controller.start()
        await bench.clock.waitForSleepers()
        bench.clock.advance(by: .milliseconds(40))
        try await started
        async let report = bench.open(1)
        await bench.clock.waitForSleepers()
        #expect(bench.controller.energised.isEmpty)
        bench.clock.advance(by: .milliseconds(40))
        #expect(try await report.bus == .milliseconds(40))
    }

    @Test func `a deadline that passes on the way keeps the lock from firing`() async throws {
        let bench = try Bench(link: ["latency_ms": 40])
        async let started: Void = bench.controller.start()
        await bench.clock.waitForSleepers()
        bench.clock.advance(by: .milliseconds(40))
        try await started
        for (left, isFired) in [(40, false), (41, true)] {
            let command = OpenCommand(
                locker: 1, pulse: .milliseconds(200),
                deadline: bench.clock.now + .milliseconds(left))
            async let error = bench.failure { () async throws(LockerError) in
                try await bench.controller.open(command)
            }
            await bench.clock.waitForSleepers()
            bench.clock.advance(by: .milliseconds(40))
            #expect(await error?.code == (isFired ? nil : .expired))
            #expect(bench.controller.energised == (isFired ? [1] : []))
        }
    }

    @Test func `every coil is in the journal`() async throws {
        let path = "/tmp/lkd-coils-\(UInt32.random(in: 0...UInt32.max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        let bench = try Bench(link: ["journal": .string(path)])
        try await bench.controller.start()
        bench.clock.advance(by: .milliseconds(5))
        _ = try await bench.open(2)
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
            try JSONReader.parse(String($0))
        }
        #expect(lines.map { $0["atMs"] } == [5.0, 205.0])
        #expect(lines.map { $0["coil"] } == ["on", "off"])
        for line in lines {
            #expect(line["controller"] == "wall")
            #expect(line["locker"] == 2)
            #expect(line["timing"] == "board")
            #expect(line["pid"] == .int(Int64(getpid())))
            #expect(line["token"] == nil)
        }
        // The machine's clock goes on between the two lines, and the pulse is on top of that.
        let (on, off) = (lines[0]["monotonicMs"]?.doubleValue, lines[1]["monotonicMs"]?.doubleValue)
        let between = try #require(off) - #require(on)
        #expect((200..<10_000).contains(between))
    }

    @Test func `the journal goes on where an earlier start ended, and names the token`()
        async throws
    {
        let path = "/tmp/lkd-coils-\(UInt32.random(in: 0...UInt32.max))"
        defer { try? FileManager.default.removeItem(atPath: path) }
        for token in ["first", "sec\"ond"] {
            let bench = try Bench(link: ["journal": .string(path)])
            try await bench.controller.start()
            _ = try await bench.controller.open(
                OpenCommand(
                    locker: 1, pulse: .milliseconds(50),
                    token: OpenToken(payload: token, payloadAuth: "a")))
        }
        let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
            try JSONReader.parse(String($0))
        }
        #expect(lines.map { $0["token"] } == ["first", nil, "second", nil])
    }

    @Test(
        arguments: [
            (["journal": "coils"], "journal is coils; want an absolute path"),
            (["latency_ms": -1], "link.latency_ms is -1; want 0-60000"),
            (
                ["evidence": "door-sensor"],
                "evidence is door-sensor; want none, echo or lock-feedback"
            ),
            (["pulse_timing": "moon"], "link.pulse_timing is \"moon\"; want one of board, host"),
            (["fault": [["after_opens": 1]]], "a fault has no kind"),
            (
                ["fault": [["kind": "crash", "after_opens": 1, "after_ms": 1]]],
                "fault crash has after_opens and after_ms; want one"
            ),
        ] as [(JSONObject, String)])
    func `bad options are refused by name`(options: JSONObject, message: String) throws {
        let error = #expect(throws: LockerError.self) { try Bench(link: options) }
        #expect(error?.code == .invalidRequest)
        #expect(error?.message == message)
    }
}

/// Lets other tasks run until `condition` holds; the clock stands still meanwhile.
func until(_ condition: () -> Bool) async {
    for _ in 0..<100_000 {
        if condition() { return }
        await Task.yield()
    }
}
