import CoreForms
import JSONLines
import Journal
import LockerCore
import LockerKit
import SiteModel
import TestSupport
import Testing

@Suite struct RoundTripTests {
    static let locker = LockerIdentity.at(7)

    /// One of each kind.
    static let bodies: [EventBody] = {
        let all = OperationScope(.openAll, [.at(1), LockerIdentity(id: 2, address: "tower/1")])
        let result = LockerResult.opened(locker)
        var service = ServiceState()
        service.outOfService = true
        service.reason = "Tür klemmt \"sehr\""
        var reload = ReloadView()
        reload.added = ["north"]
        reload.faulted = ["south"]
        let suspicion = SensorSuspicion(
            kind: .flapping, since: WallTime(milliseconds: 5), message: "13 movements in 60 s")
        return [
            .operationStarted(
                operation: "op-1", kind: .open, scope: OperationScope(.open, [locker])),
            .operationStarted(operation: "op-2", kind: .openAll, scope: all),
            .operationDone(
                operation: "op-1", kind: .open, scope: OperationScope(.open, [locker]),
                result: result, summary: OpenAllSummary([result])),
            .operationDone(
                operation: "op-2", kind: .openAll, scope: all, result: nil,
                summary: OpenAllSummary([result])),
            .lockFired(locker: locker, operation: "op-1", pulse: .milliseconds(200)),
            .doorOpened(locker: locker),
            .doorOpened(
                locker: locker, late: LateDoor(operation: "op-1", door: .milliseconds(4000.5))),
            .doorClosed(locker: locker), .doorClosed(locker: locker, heldFor: .seconds(301)),
            .doorForced(locker: locker, sinceLastPulse: nil),
            .doorForced(locker: locker, sinceLastPulse: .seconds(9)),
            .doorHeld(locker: locker, open: .seconds(300), limit: .seconds(300)),
            .sensorSuspect(locker: locker, suspicion: suspicion),
            .sensorSuspect(locker: locker, suspicion: nil),
            .lockJammed(locker: locker, operation: "op-1"),
            .serviceChanged(locker: locker, service: service),
            .controllerState(controller: "wall", state: .faulted, reason: "silent"),
            .healthChanged(
                Health(
                    level: .degraded,
                    causes: [.init(code: "locker-broken", subject: "wall/7", message: "broken")])),
            .configReloaded(reload), .deviceState(device: "screen", state: "up"),
            .recorded(
                RecordedEvent(
                    type: "old.kind", locker: locker, controllers: ["wall", "tower"],
                    members: #"{"locker":{"id":7,"address":"wall/7"},"n":1.5}"#)),
        ]
    }()

    @Test func `events of every kind come back as clients saw them`() async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            let first = try fixture.open("\(directory)/state")
            let events = Self.bodies.enumerated().map {
                Event(seq: UInt64($0.offset + 1), at: fixture.wall, body: $0.element)
            }
            try await first.record(events.map(JournalEntry.event), synced: true)
            try await fixture.isTold([UInt64(events.count)])
            await first.close()

            let second = try fixture.open("\(directory)/state", run: 2)
            #expect(second.state == .durable)
            #expect(second.legacy.lastSeq == UInt64(events.count))
            #expect(second.legacy.events.map(\.json.text) == events.map(\.json.text))
            for (event, body) in zip(second.legacy.events, Self.bodies) {
                #expect(event.body == .recorded(RecordedEvent(body)))
            }
            await second.close()
        }
    }

    @Test func `operations come back whole, by id and by key`() async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            let first = try fixture.open("\(directory)/state")
            #expect(!first.legacy.hasKeys)
            let lockers = (1...4).map(LockerIdentity.at)
            let results = [
                LockerResult.opened(lockers[0]),
                LockerResult(
                    locker: lockers[1],
                    ending: .failed(
                        LockerError(
                            .linkDown, "no board", fired: .no, sent: .maybe,
                            retryAfter: .milliseconds(1500))), attempts: 3),
                LockerResult(locker: lockers[2], ending: .skipped(reason: "out of service")),
                LockerResult(
                    locker: lockers[3],
                    ending: .outcome(
                        .jammed, evidence: .doorSensor, door: .closed, timing: OpenTiming()),
                    attempts: 2),
            ]
            let operation = AcceptedOperation.of("op-1", lockers, kind: .openAll, key: "k 1")
            try await first.record([.accepted(operation, .plain)], synced: true)
            for result in results.reversed() {
                try await first.record([.result(operation: "op-1", result)], synced: false)
            }
            first.note([.ended(operation: "op-1", state: .cancelled)], promptly: true)
            try await first.record(
                [
                    .accepted(.of("op-2", [.at(1)]), .plain),
                    .ended(operation: "op-2", state: .done),
                ],
                synced: false)
            let wanted = KeptOperation(
                view: OperationView(
                    id: "op-1", kind: .openAll, acceptedAt: operation.acceptedAt, lockers: lockers,
                    state: .cancelled, results: results),
                key: "k 1", fingerprint: operation.fingerprint, peer: .kiosk,
                reason: operation.reason)
            #expect(try await first.operation(id: "op-1") == wanted)
            await first.close()

            let second = try fixture.open("\(directory)/state", run: 2)
            #expect(second.legacy.hasKeys)
            #expect(second.legacy.recovered.isEmpty)
            #expect(try await second.operation(id: "op-1") == wanted)
            #expect(try await second.operation(key: "k 1") == wanted)
            #expect(try await second.operation(id: "op-2")?.key == nil)
            #expect(try await second.operation(id: "op-3") == nil)
            #expect(try await second.operation(key: "op-1") == nil)
            await second.close()
        }
    }

    @Test func `a result that is amended replaces the one before`() async throws {
        let fixture = JournalFixture()
        let journal = try fixture.open(nil)
        let locker = LockerIdentity.at(1)
        try await journal.record(fixture.beginning("op-1", locker, seq: 1), synced: true)
        try await journal.record(fixture.end("op-1", locker, seq: 2), synced: false)
        let late = LockerResult(
            locker: locker,
            ending: .outcome(
                .openedLate, evidence: .doorSensor, door: .open, timing: OpenTiming()))
        try await journal.record([.result(operation: "op-1", late)], synced: false)
        #expect(try await journal.operation(id: "op-1")?.view.results == [late])
        await journal.close()
    }

    @Test func `lockers come back with flags, last open, wear and coil`() async throws {
        try await withTemporaryDirectory { directory in
            let fixture = JournalFixture()
            let first = try fixture.open("\(directory)/state")
            var full = KeptLocker()
            full.service.brokenLock = true
            full.service.reasonCode = "vandalism"
            full.lastOpen = LastOpen(
                operation: "op-9", at: WallTime(milliseconds: -5), outcome: nil)
            full.wear.cycles = 12
            full.wear.jams = 2
            for time in [9.5, 120, 121.75, 90_000] { full.wear.doorTimes.add(.milliseconds(time)) }
            full.coil = KeptCoil(
                heat: .milliseconds(1234.5), atMs: 77, machineBoot: "machine-1")
            var outcome = KeptLocker()
            outcome.lastOpen = LastOpen(
                operation: "op-8", at: WallTime(milliseconds: 8), outcome: .openedLate)
            first.note(
                [
                    .locker(.at(1), KeptLocker()), .locker(.at(2), KeptLocker()),
                    .locker(.at(2), full), .locker(.at(3), outcome),
                ], promptly: false)
            await first.close()

            let second = try fixture.open("\(directory)/state", run: 2)
            #expect(
                second.legacy.lockers == [
                    "wall/1": KeptLocker(), "wall/2": full, "wall/3": outcome,
                ])
            await second.close()
        }
    }

    @Test func `a journal in memory remembers until it is closed`() async throws {
        let fixture = JournalFixture()
        let journal = try fixture.open(nil)
        #expect(journal.state == .memory)
        try await journal.record(fixture.beginning("op-1", .at(1), key: "k", seq: 1), synced: true)
        #expect(try await journal.operation(key: "k")?.view.state == .pending)
        #expect(try problems(in: try await journal.audit(AuditQuery(limit: 10))) == [])
        try await fixture.isTold([1])
        await journal.close()
        await #expect(throws: JournalFailure("the journal is closed")) {
            try await journal.record([], synced: true)
        }
        await #expect(throws: JournalFailure("the journal is closed")) {
            _ = try await journal.operation(id: "op-1")
        }
        await journal.close()
    }

    @Test func `the fingerprint is the SHA-256 of the text`() async throws {
        let journal = try JournalFixture().open(nil)
        #expect(
            journal.fingerprint(of: "abc")
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        await journal.close()
    }

    @Test func `a note without haste is written without anybody else`() async throws {
        let fixture = JournalFixture()
        let journal = try fixture.open(nil)
        journal.note(
            [.event(Event(seq: 1, at: fixture.wall, body: .doorOpened(locker: .at(1))))],
            promptly: false)
        try await fixture.isTold([1])
        await journal.close()
    }

    @Test func `an operation is kept once, however late somebody says it again`() async throws {
        let fixture = JournalFixture()
        let journal = try fixture.open(nil)
        let accepted = JournalEntry.accepted(.of("op-1", [.at(1)], key: "k"), .plain)
        try await journal.record([accepted, accepted], synced: true)
        try await journal.record(
            [accepted, .ended(operation: "op-1", state: .done), accepted], synced: false)
        try await journal.record([accepted], synced: true)
        #expect(try await journal.operation(key: "k")?.view.state == .done)
        #expect(try await journal.audit(AuditQuery(limit: 10)).headNumber == 1)
        await journal.close()
    }
}
