import LockerKit
import SiteModel
import Testing

@testable import LockerCore

@Suite struct `A device's own log` {
    private let lockers = [3: LockerIdentity(id: 103, address: "north/3")]

    private func entries(_ numbers: ClosedRange<Int64>) -> [DeviceLogEntry] {
        numbers.map { DeviceLogEntry(number: $0, kind: "access", at: 1000 + $0, locker: 3) }
    }

    private func parcel(_ entries: ClosedRange<Int64>) -> SealedParcel {
        SealedParcel(payload: "00", payloadAuth: "01", entries: entries)
    }

    /// Numbers of the entries that became events, and how many each had missed.
    private func told(_ events: [EventBody]) -> [[Int64]] {
        events.compactMap { event in
            guard case .controllerEvent(_, _, let entry, let missed) = event else { return nil }
            return [entry.number, missed]
        }
    }

    @Test func `becomes events once, whatever comes again`() {
        let logs = DeviceLogs([:])
        let log = DeviceLog(oldest: 1, next: 5, entries: entries(1...4))
        let first = logs.take(
            log, of: "north", askedAfter: logs.cursor(of: "north"), lockers: lockers)
        #expect(told(first.events) == [[1, 0], [2, 0], [3, 0], [4, 0]])
        guard case .controllerEvent("north", let locker, _, _)? = first.events.first else {
            Issue.record("no event")
            return
        }
        #expect(locker?.address == "north/3")
        let again = logs.take(
            log, of: "north", askedAfter: logs.cursor(of: "north"), lockers: lockers)
        #expect(again.events.isEmpty && again.cursor == 4 && !again.hasBegunAnew)
        let more = DeviceLog(oldest: 3, next: 7, entries: entries(3...6))
        #expect(
            told(
                logs.take(more, of: "north", askedAfter: logs.cursor(of: "north"), lockers: lockers)
                    .events) == [[5, 0], [6, 0]])
        #expect(logs.cursor(of: "north") == 6)
    }

    @Test
    func `says what it has forgotten before anybody asked, but not what was before this site`() {
        let logs = DeviceLogs([:])
        let old = DeviceLog(oldest: 90, next: 92, entries: entries(90...91))
        #expect(
            told(
                logs.take(old, of: "north", askedAfter: logs.cursor(of: "north"), lockers: lockers)
                    .events) == [[90, 0], [91, 0]])
        let gap = DeviceLog(oldest: 100, next: 102, entries: entries(100...101))
        #expect(
            told(
                logs.take(gap, of: "north", askedAfter: logs.cursor(of: "north"), lockers: lockers)
                    .events) == [[100, 8], [101, 0]])
    }

    @Test func `may begin anew`() {
        let logs = DeviceLogs(["north": 500])
        let anew = logs.take(
            DeviceLog(oldest: 1, next: 3, entries: entries(1...2)), of: "north",
            askedAfter: logs.cursor(of: "north"), lockers: lockers)
        #expect(anew.hasBegunAnew && told(anew.events) == [[1, 0], [2, 0]])
        #expect(logs.cursor(of: "north") == 2)
    }

    @Test func `comes sealed with the entries it holds, or alone`() {
        let logs = DeviceLogs([:])
        let both = logs.take(
            DeviceLog(oldest: 1, next: 4, entries: entries(1...3), parcel: parcel(1...3)),
            of: "north", askedAfter: logs.cursor(of: "north"), lockers: lockers)
        #expect(both.events.count == 4)
        let alone = logs.take(
            DeviceLog(oldest: 1, next: 9, entries: [], parcel: parcel(4...8)), of: "north",
            askedAfter: logs.cursor(of: "north"), lockers: lockers)
        #expect(alone.events == [.controllerParcel(controller: "north", parcel: parcel(4...8))])
        #expect(logs.cursor(of: "north") == 8)
        let again = logs.take(
            DeviceLog(oldest: 1, next: 9, entries: [], parcel: parcel(4...8)), of: "north",
            askedAfter: logs.cursor(of: "north"), lockers: lockers)
        #expect(again.events.isEmpty)
    }

    @Test func `of an earlier run never goes back`() {
        let logs = DeviceLogs(["north": 7])
        logs.merge(["north": 3, "south": 2])
        #expect(logs.cursor(of: "north") == 7 && logs.cursor(of: "south") == 2)
    }

    @Test func `of another device in the same place is another log`() {
        let logs = DeviceLogs(["north A": 500])
        func log(_ source: String, _ numbers: ClosedRange<Int64>) -> DeviceLog {
            DeviceLog(
                oldest: numbers.lowerBound, next: numbers.upperBound + 1, source: source,
                entries: entries(numbers))
        }
        // Nobody knows yet whose log it is: it is asked for from the beginning.
        #expect(logs.cursor(of: "north") == 0)
        let first = logs.take(log("A", 490...520), of: "north", askedAfter: 0, lockers: lockers)
        #expect(first.mustBeAskedAgain && first.events.isEmpty)
        #expect(logs.cursor(of: "north") == 500)
        let second = logs.take(log("A", 501...502), of: "north", askedAfter: 500, lockers: lockers)
        #expect(told(second.events) == [[501, 0], [502, 0]] && second.key == "north A")
        // Another tower is put in its place, with a log of its own.
        let other = logs.take(log("B", 503...504), of: "north", askedAfter: 502, lockers: lockers)
        #expect(other.mustBeAskedAgain && logs.cursor(of: "north") == 0)
        let again = logs.take(log("B", 1...2), of: "north", askedAfter: 0, lockers: lockers)
        #expect(told(again.events) == [[1, 0], [2, 0]] && again.key == "north B")
    }
}
