import JSONLines
import LockerKit
import LockerKitTesting
import SimulatorDriver
import Testing

@Suite struct SimulatedFaults {
    private func bench(locker fault: String, _ more: JSONObject = JSONObject()) async throws
        -> Bench
    {
        var options = more
        options["fault"] = .string(fault)
        let bench = try Bench(locker: options)
        try await bench.controller.start()
        return bench
    }

    private func bench(link fault: JSON) async throws -> Bench {
        let bench = try Bench(link: ["fault": [fault]])
        try await bench.controller.start()
        return bench
    }

    // MARK: One locker

    @Test func `a jammed door is fired and stays closed`() async throws {
        let bench = try await bench(locker: "jam")
        let report = try await bench.open(3)
        #expect(bench.controller.energised == [3])
        #expect(report.doorAfter == .closed)
        bench.clock.advance(by: .milliseconds(500))
        #expect(try await bench.door(3) == .closed)
        #expect(try await bench.open(1).doorAfter == .open)
    }

    @Test func `a door ajar is open from the start`() async throws {
        let bench = try await bench(locker: "ajar")
        #expect(try await bench.door(3) == .open)
        #expect(try await bench.open(3).doorBefore == .open)
        bench.clock.advance(by: .seconds(60))
        #expect(try await bench.door(3) == .open)
    }

    @Test func `a broken sensor knows nothing`() async throws {
        let bench = try await bench(locker: "no-sensor")
        #expect(try await bench.open(3).doorAfter == .unknown)
        #expect(try await bench.door(3) == .unknown)
    }

    @Test func `a flapping sensor changes its mind`() async throws {
        let bench = try await bench(locker: "flapping")
        var seen: [DoorState?] = []
        for _ in 0..<4 {
            seen.append(try await bench.door(3))
            bench.clock.advance(by: .milliseconds(100))
        }
        #expect(seen == [.closed, .open, .closed, .open])
    }

    @Test func `a slow door opens later and says so itself`() async throws {
        let bench = try await bench(locker: "slow", ["slow_ms": 700])
        #expect(try await bench.open(3).doorAfter == .closed)
        await bench.clock.waitForSleepers()
        bench.clock.advance(by: .milliseconds(699))
        #expect(try await bench.door(3) == .closed)
        bench.clock.advance(by: .milliseconds(1))
        #expect(try await bench.door(3) == .open)
        await until { bench.pushes.count == 1 }
        await bench.clock.waitForSleepers()
        bench.clock.advance(by: .seconds(2))
        await until { bench.pushes.count == 2 }
        #expect(bench.pushes.map(\.door) == [.open, .closed])
    }

    @Test func `a lost reply leaves it open whether the lock fired`() async throws {
        let bench = try await bench(locker: "reply-lost")
        let error = await bench.failure { () async throws(LockerError) in try await bench.open(3) }
        #expect(error?.code == .timedOut)
        #expect(error?.fired == .unknown)
        #expect(error?.sent == .yes)
        #expect(try await bench.door(3) == .open)
    }

    @Test func `a board that refuses fires nothing`() async throws {
        let bench = try await bench(locker: "refuse")
        let error = await bench.failure { () async throws(LockerError) in try await bench.open(3) }
        #expect(error?.code == .refused)
        #expect(error?.fired == .no)
        #expect(bench.controller.energised.isEmpty)
    }

    // MARK: The link

    @Test func `a link goes down after so many opens and comes back`() async throws {
        let bench = try await bench(
            link: ["kind": "link-down", "after_opens": 2, "for_ms": 3000])
        _ = try await bench.open(1)
        _ = try await bench.open(2)
        let open = await bench.failure { () async throws(LockerError) in try await bench.open(1) }
        #expect(open?.code == .linkDown)
        #expect(open?.fired == .no && open?.sent == .no)
        let read = await bench.failure { () async throws(LockerError) in
            try await bench.controller.readDoors()
        }
        #expect(read?.code == .linkDown)
        bench.clock.advance(by: .seconds(3))
        #expect(try await bench.open(1).doorAfter == .open)
    }

    @Test func `a link goes down at a time`() async throws {
        let bench = try await bench(link: ["kind": "link-down", "after_ms": 500, "for_ms": 100])
        _ = try await bench.controller.readDoors()
        bench.clock.advance(by: .milliseconds(500))
        let error = await bench.failure { () async throws(LockerError) in
            try await bench.controller.readDoors()
        }
        #expect(error?.code == .linkDown)
        bench.clock.advance(by: .milliseconds(100))
        _ = try await bench.controller.readDoors()
    }

    @Test func `a link that is down carries no report of a door`() async throws {
        let bench = try Bench(
            link: ["fault": [["kind": "link-down", "after_opens": 1, "for_ms": 2000]]],
            locker: ["fault": "slow", "slow_ms": 1000])
        try await bench.controller.start()
        _ = try await bench.open(3)
        // The door opens while the link is down, and closes when it is back.
        for pause in [1, 2] {
            await bench.clock.waitForSleepers()
            bench.clock.advance(by: .seconds(pause))
        }
        await until { !bench.pushes.isEmpty }
        #expect(bench.pushes.map(\.door) == [.closed])
    }

    @Test func `a link that is down at the start starts later`() async throws {
        let bench = try Bench(link: ["fault": [["kind": "link-down", "for_ms": 100]]])
        let error = await bench.failure { () async throws(LockerError) in
            try await bench.controller.start()
        }
        #expect(error?.code == .linkDown)
        bench.clock.advance(by: .milliseconds(100))
        #expect(try await bench.open(1).doorAfter == .open)
    }

    @Test func `replies get lost as often as the script says`() async throws {
        let bench = try await bench(link: ["kind": "reply-lost", "after_opens": 1, "times": 2])
        _ = try await bench.open(1)
        for _ in 0..<2 {
            let error = await bench.failure { () async throws(LockerError) in
                try await bench.open(2)
            }
            #expect(error?.code == .timedOut)
            #expect(error?.fired == .unknown)
        }
        #expect(try await bench.open(1).evidence == .echo)
    }

    @Test(arguments: ["crash", "hang"])
    func `a disaster comes after the lock was fired`(kind: String) async throws {
        let bench = try await bench(link: ["kind": .string(kind), "after_opens": 1])
        _ = try await bench.open(1)
        #expect(bench.disasters.isEmpty)
        _ = try await bench.open(2)
        #expect(bench.disasters == [kind])
        #expect(bench.controller.energised == [1, 2])
    }

    @Test func `a disaster may come before the lock was fired`() async throws {
        let bench = try await bench(link: ["kind": "crash", "when": "before"])
        async let report = bench.open(1)
        _ = try await report
        #expect(bench.disasters == ["crash"])
    }

    @Test func `a disaster at a time strikes any call`() async throws {
        let bench = try await bench(link: ["kind": "hang", "after_ms": 100])
        _ = try await bench.controller.readDoors()
        bench.clock.advance(by: .milliseconds(100))
        _ = try await bench.controller.readDoors()
        #expect(bench.disasters == ["hang"])
    }
}
