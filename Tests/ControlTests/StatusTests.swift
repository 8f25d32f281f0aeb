import ControlWire
import JSONLines
import LockerKit
import LockerKitTesting
import NIOCore
import SiteModel
import Testing

@testable import ControlServer
@testable import LockerCore

/// A core that is nothing but its snapshot, with a clock that a test turns.
private struct StillCore: ControlCore {
    let snapshot = Snapshot()
    let events: EventLog
    let bootID = "boot"
    let name = "depot \"17\""
    let executor: (any TaskExecutor)? = nil
    let clock = ManualClock()

    init() {
        events = EventLog { WallTime(milliseconds: 0) }
        let plan = ControllerPlan(
            id: "wall", bank: "east",
            lockers: (1...3).map { LockerPlan(id: 100 + $0, number: $0, hasSensor: $0 != 3) },
            staleAfter: .seconds(2))
        snapshot.replace(
            lockers: plan.lockers.map { LockerView(plan: $0, controller: plan) },
            controllers: [
                ControllerView(
                    id: "wall", driver: "d", link: "l", bank: "east", lockers: 3,
                    since: WallTime(milliseconds: 1000))
            ], keepingLinks: [])
    }

    func status(_ selection: StatusEncoder.Selection, _ encoder: StatusEncoder) throws -> JSON {
        let grant = AccessPolicy(rules: [], owners: [0]).grant(
            to: Peer(uid: 0, gid: 0, groups: [], pid: 1))
        var buffer = ByteBuffer()
        try encoder.write(selection, for: grant, into: &buffer)
        return try JSONReader.parse(Array(buffer.readableBytesView))
    }

    /// The same locker by the short way.
    func one(_ id: Int, _ encoder: StatusEncoder) throws -> JSON {
        var buffer = ByteBuffer()
        let isKnown = [UInt8]().withUnsafeBytes {
            encoder.writeOne(.id(id), in: $0, into: &buffer)
        }
        #expect(isKnown)
        return try JSONReader.parse(Array(buffer.readableBytesView))
    }

    func encoder() -> StatusEncoder {
        StatusEncoder(core: self, clock: clock) { WallTime(milliseconds: 1_700_000_000_123) }
    }

    func read(_ locker: Int, _ door: DoorState) {
        _ = snapshot.apply(
            [DoorReading(locker: locker, door: door, takenAt: clock.now)], controller: "wall")
    }

    private static let unused = LockerError(.internal, "not asked in this test")

    func open(_ request: OpenRequest, wait: Duration?) async throws(LockerError) -> OperationView {
        throw Self.unused
    }
    func openAll(
        _ request: OpenAllRequest, wait: Duration?,
        progress: @escaping @Sendable (OpenAllProgress) -> Void
    ) async throws(LockerError) -> OperationView { throw Self.unused }
    func operation(_ id: String) async throws(LockerError) -> OperationView { throw Self.unused }
    func cancel(_ id: String, peer: Peer?) async throws(LockerError) -> CancelView {
        throw Self.unused
    }
    func planOpenAll(_ request: OpenAllRequest) async throws(LockerError) -> OpenAllEstimate {
        throw Self.unused
    }
    func audit(_ query: AuditQuery) async throws(LockerError) -> AuditPage { throw Self.unused }
    func noteReload(by peer: Peer?) async {}
    func noteRestart(uplink: String, by peer: Peer) async {}
    func setService(
        _ request: ServiceRequest
    ) async throws(LockerError) -> (locker: LockerView, isKept: Bool) {
        throw Self.unused
    }
    func restart(controller id: String, peer: Peer) async throws(LockerError) { throw Self.unused }
    func perform(
        _: DeviceAction, controller _: String, peer _: Peer
    ) async throws(LockerError) -> DeviceAnswer { throw Self.unused }
    func noteDevice(_ id: String, state: String, peer: Peer) async throws(LockerError) {
        throw Self.unused
    }
}

@Suite struct `status from the snapshot` {
    private let core = StillCore()

    private func locker(_ status: JSON, _ index: Int = 0) throws -> JSON {
        try #require(status["lockers"]?.arrayValue?[index])
    }

    @Test
    func `a door shows its reading while that is young and unknown afterwards, its age growing`()
        throws
    {
        let encoder = core.encoder()
        core.read(1, .open)
        core.clock.advance(by: .milliseconds(1500))
        var shown = try locker(core.one(101, encoder))
        #expect(shown["door"] == "open")
        #expect(shown["quality"] == "good")
        #expect(shown["doorAgeMs"] == 1500)
        #expect(shown["lastDoor"] == nil)
        core.clock.advance(by: .milliseconds(501))
        shown = try locker(core.one(101, encoder))
        #expect(shown["door"] == "unknown")
        #expect(shown["quality"] == "stale")
        #expect(shown["doorAgeMs"] == 2001)
        #expect(shown["lastDoor"] == "open")
        core.clock.advance(by: .seconds(100 * 86_400))
        #expect(try locker(core.one(101, encoder))["doorAgeMs"] == 8_640_002_001)
    }

    @Test func `a door never read is stale without an age, one without a sensor has no quality`()
        throws
    {
        let status = try core.status(.init(), core.encoder())
        #expect(try locker(status, 0)["doorAgeMs"] == .null)
        #expect(try locker(status, 0)["quality"] == "stale")
        #expect(try locker(status, 0)["lastDoor"] == nil)
        #expect(try locker(status, 2)["quality"] == "none")
    }

    @Test func `a kept row shows every change`() throws {
        let encoder = core.encoder()
        #expect(try locker(core.one(101, encoder))["outOfService"] == false)
        core.snapshot.update(locker: "wall/1") { $0.service.reason = "line\nfeed \"quoted\"" }
        #expect(try locker(core.one(101, encoder))["reason"] == "line\nfeed \"quoted\"")
        core.read(1, .closed)
        #expect(try locker(core.one(101, encoder))["door"] == "closed")
        core.read(1, .open)
        #expect(try locker(core.one(101, encoder))["door"] == "open")
        core.snapshot.update(controller: "wall") {
            $0.state = .ready
            $0.lastGood = core.clock.now
        }
        core.clock.advance(by: .milliseconds(7))
        let controller = try core.one(101, encoder)["controllers"]?.arrayValue?.first
        #expect(controller?["state"] == "ready")
        #expect(controller?["lastGoodMs"] == 7)
        _ = core.snapshot.refreshHealth()
        #expect(try core.one(101, encoder)["health"] == "ok")
    }

    @Test func `rows of another plan replace the kept ones`() throws {
        let encoder = core.encoder()
        _ = try core.status(.init(), encoder)
        let plan = ControllerPlan(id: "new", lockers: [LockerPlan(id: 5, number: 9)])
        core.snapshot.replace(
            lockers: plan.lockers.map { LockerView(plan: $0, controller: plan) },
            controllers: [
                ControllerView(
                    id: "new", driver: "d", link: "l", bank: nil, lockers: 1,
                    since: WallTime(milliseconds: 0))
            ], keepingLinks: [])
        let status = try core.status(.init(), encoder)
        #expect(status["lockers"]?.arrayValue?.map { $0["address"] } == ["new/9"])
        #expect(status["controllers"]?.arrayValue?.map { $0["id"] } == ["new"])
    }

    @Test func `both ways say the same`() throws {
        let encoder = core.encoder()
        core.read(2, .closed)
        core.clock.advance(by: .milliseconds(42))
        let general = try core.status(.init(lockers: [.address("wall/2")]), encoder)
        #expect(try core.one(102, encoder) == general)
        #expect(general["at"] == "2023-11-14T22:13:20.123Z")
        #expect(general["site"] == "depot \"17\"")
    }

    @Test func `scopes narrow each other, and each locker comes once in the order asked for`()
        throws
    {
        let encoder = core.encoder()
        let asked: [LockerSelector] = [.id(103), .address("wall/1"), .address("wall/3")]
        let status = try core.status(.init(lockers: asked), encoder)
        #expect(status["lockers"]?.arrayValue?.map { $0["id"] } == [103, 101])
        let none = try core.status(.init(lockers: [], controller: "wall"), encoder)
        #expect(none["lockers"] == [])
        #expect(none["controllers"] == [])
        #expect(try core.status(.init(bank: "east"), encoder)["lockers"]?.arrayValue?.count == 3)
        #expect(throws: ControlFault.self) { try core.status(.init(bank: "nowhere"), encoder) }
        #expect(throws: ControlFault.self) { try core.status(.init(controller: "x"), encoder) }
        #expect(throws: ControlFault.self) { try core.status(.init(lockers: [.id(9)]), encoder) }
    }

    @Test(
        arguments: [
            0, 9, 10, 99, 100, 999_999_999_999, 9_999_999_999_999_999_999, .max, .max - 1,
        ] as [UInt64])
    func `numbers are written in full`(number: UInt64) {
        var buffer = ByteBuffer()
        buffer.write(atMost: ByteSink.decimalBytes) { $0.put(decimal: number) }
        #expect(String(buffer: buffer) == String(number))
    }
}
