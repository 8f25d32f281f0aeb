import Foundation
import JSONLines
import LockerCore
import LockerKit
import SiteModel
import TestSupport
import Testing

@testable import Heartbeat

@Suite struct BeatTextTests {
    private static let now = ContinuousClock.now

    /// The beat that `docs/heartbeat.md` shows, and the mark it counts from.
    private static func documented() -> (beat: BeatInput, mark: DeliveryMark) {
        let reason = "unit 1 did not answer within 500 ms"
        var wall = controller("wall", lockers: 24, since: 1_795_247_701_100)
        wall.state = .ready
        wall.lastGood = now - .milliseconds(212)
        var yard = controller("yard", lockers: 8, since: 1_795_248_929_400)
        yard.state = .faulted
        yard.lastGood = now - .milliseconds(3150)
        yard.restarts = 1
        yard.reason = reason
        var lockers = LockerTally()
        lockers.total = 32
        lockers.open = 1
        lockers.closed = 23
        lockers.unknown = 8
        lockers.outOfService = 1
        var opens = OpenTally()
        for _ in 0..<5 { opens.count(result(.opens(.opened))) }
        var beat = input()
        beat.seq = 41
        beat.at = WallTime(milliseconds: 1_795_248_899_873)
        beat.opens = opens
        let mark = DeliveryMark(beat)
        for _ in 0..<3 { opens.count(result(.opens(.opened))) }
        opens.count(result(.opens(.jammed)))
        beat.seq = 42
        beat.at = WallTime(milliseconds: 1_795_248_930_042)
        beat.opens = opens
        beat.health = Health(
            level: .degraded,
            causes: [.init(code: "controller-faulted", subject: "yard", message: reason)])
        beat.controllers = [wall, yard]
        beat.lockers = lockers
        return (beat, mark)
    }

    private static func input() -> BeatInput {
        BeatInput(
            site: "depot-17", bootID: "01J9Z3W8", seq: 1, at: WallTime(milliseconds: 0), now: now,
            uptime: .milliseconds(1_230_042), state: .online, version: "0.1.0",
            interval: .seconds(30), health: Health(level: .ok), controllers: [],
            lockers: LockerTally(), opens: OpenTally())
    }

    private static func controller(_ id: String, lockers: Int, since: Int64) -> ControllerView {
        ControllerView(
            id: id, driver: "modbus", link: id, bank: nil, lockers: lockers,
            since: WallTime(milliseconds: since))
    }

    private static func result(_ ending: LockerResult.Ending) -> LockerResult {
        LockerResult(locker: LockerIdentity(id: 1, address: "wall/1"), ending: ending)
    }

    private static let start = DeliveryMark(startedAt: WallTime(milliseconds: 0))

    @Test func `the documentation shows what is sent`() throws {
        let page = try String(contentsOfFile: "\(Checkout.root)/docs/heartbeat.md", encoding: .utf8)
        let example = page.split(separator: "```json\n")[1].split(separator: "\n```")[0]
        let (beat, mark) = Self.documented()
        let shown = try JSONReader.parse(String(example))
        let sent = try JSONReader.parse(beat.text(since: mark))
        #expect(sent == shown)
        #expect(sent.objectValue?.keys == shown.objectValue?.keys, "same order")
    }

    @Test func `a beat is one line`() {
        var beat = Self.input()
        beat.site = "a\nb\u{2028}\"\\"
        #expect(!beat.text(since: Self.start).contains("\n"))
    }

    @Test func `what never answered has no age`() throws {
        var beat = Self.input()
        beat.controllers = [Self.controller("wall", lockers: 1, since: 0)]
        let text = try JSONReader.parse(beat.text(since: Self.start))
        #expect(text["controllers"]?.arrayValue?.first?["lastGoodMs"] == .null)
        #expect(text["controllers"]?.arrayValue?.first?["reason"] == .null)
    }

    @Test func `an answer from after the moment of the beat is not older than nothing`() throws {
        var view = Self.controller("wall", lockers: 1, since: 0)
        view.lastGood = Self.now + .seconds(1)
        var beat = Self.input()
        beat.controllers = [view]
        let text = try JSONReader.parse(beat.text(since: Self.start))
        #expect(text["controllers"]?.arrayValue?.first?["lastGoodMs"] == 0)
    }

    @Test func `lockers are counted by what their doors say now`() {
        let plan = ControllerPlan(id: "wall", staleAfter: .seconds(2))
        func locker(
            _ door: DoorState, age: Duration = .zero, hasSensor: Bool = true, flags: Bool = false
        ) -> LockerView {
            var view = LockerView(
                plan: LockerPlan(id: 1, number: 1, hasSensor: hasSensor), controller: plan)
            view.door = door
            view.readAt = Self.now - age
            view.service.outOfService = flags
            view.service.brokenLock = flags
            return view
        }
        var tally = LockerTally()
        for view in [
            locker(.open), locker(.closed), locker(.closed), locker(.closed, age: .seconds(3)),
            locker(.unknown), locker(.open, hasSensor: false), locker(.closed, flags: true),
        ] {
            tally.count(view, at: Self.now)
        }
        #expect(tally.total == 7)
        #expect(tally.open == 1)
        #expect(tally.closed == 3)
        #expect(tally.unknown == 3)
        #expect(tally.outOfService == 1)
        #expect(tally.brokenLock == 1)
    }

    @Test func `a beat stays below 200 KB and shows what is wrong first`() throws {
        let nasty = String(repeating: "\u{1}\"\\é", count: 4000)
        var beat = Self.input()
        beat.controllers = (0..<2000).map { number in
            var view = ControllerView(
                id: nasty, driver: nasty, link: nasty, bank: nil, lockers: 1,
                since: WallTime(milliseconds: 0))
            view.state = number == 1999 ? .faulted : .ready
            view.reason = nasty
            return view
        }
        beat.health = Health(
            level: .degraded,
            causes: (0..<2000).map { _ in .init(code: nasty, subject: nasty, message: nasty) })
        let text = beat.text(since: Self.start)
        #expect(text.utf8.count < 200_000)
        let parsed = try JSONReader.parse(text)
        #expect(parsed["controllers"]?.arrayValue?.count == BeatLimits.controllers)
        #expect(parsed["controllersOmitted"] == .int(Int64(2000 - BeatLimits.controllers)))
        #expect(parsed["controllers"]?.arrayValue?.first?["state"] == "faulted")
        #expect(parsed["causes"]?.arrayValue?.count == BeatLimits.causes)
        #expect(parsed["causesOmitted"] == .int(Int64(2000 - BeatLimits.causes)))
        let reason = parsed["controllers"]?.arrayValue?.first?["reason"]?.stringValue ?? ""
        #expect((195...BeatLimits.text).contains(reason.utf8.count))
        #expect(reason.hasPrefix(" \"\\é"))
    }

    @Test func `any text makes a beat that parses`() throws {
        var random = SeededGenerator(seed: 17)
        for _ in 0..<2000 {
            let scalars = (0..<Int.random(in: 0...300, using: &random)).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 0...0x2FFFF, using: &random))
            }
            var text = ""
            text.unicodeScalars.append(contentsOf: scalars)
            var beat = Self.input()
            beat.site = text
            beat.health.causes = [.init(code: text, subject: text, message: text)]
            let parsed = try JSONReader.parse(beat.text(since: Self.start))
            #expect(parsed["site"]?.stringValue == text)
        }
    }

    @Test(
        .enabled(
            if: Checkout.whyNoPeers == nil || Checkout.isCI,
            "\(Checkout.whyNoPeers ?? "the Python peers are there")"))
    func `an independent validator finds every beat as the schema says`() async throws {
        let (beat, mark) = Self.documented()
        var offline = beat
        offline.state = .offline
        var empty = Self.input()
        empty.health = Health(level: .down, causes: [])
        let texts = [
            beat.text(since: mark), offline.text(since: mark), empty.text(since: Self.start),
        ]
        let program = """
            import json, sys
            try:
                import jsonschema
            except ImportError:
                sys.exit("jsonschema is not installed in the virtual environment")
            schema = json.load(open(sys.argv[1]))
            jsonschema.Draft202012Validator.check_schema(schema)
            validator = jsonschema.Draft202012Validator(schema)
            for text in sys.argv[2:]:
                validator.validate(json.loads(text))
            broken = json.loads(sys.argv[2])
            broken["state"] = "asleep"
            assert not validator.is_valid(broken)
            print("valid", len(sys.argv) - 2)
            """
        let python = try ChildProcess(
            Checkout.python,
            ["-c", program, "\(Checkout.root)/docs/heartbeat.schema.json"] + texts)
        let status = try await python.exitStatus()
        #expect(status == 0, "\(python.standardError)")
        #expect(python.standardOutput.contains("valid 3"))
    }
}
