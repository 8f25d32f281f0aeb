import Heartbeat
import LockerCore
import Testing

@Suite struct OpenTallyTests {
    private func tally(_ endings: [LockerResult.Ending]) -> OpenTally {
        var tally = OpenTally()
        for ending in endings {
            tally.count(
                LockerResult(locker: LockerIdentity(id: 1, address: "wall/1"), ending: ending))
        }
        return tally
    }

    @Test(arguments: Outcome.allCases)
    func `every outcome is counted by its name`(outcome: Outcome) {
        let counted = tally([.opens(outcome), .opens(outcome)])
        for other in Outcome.allCases { #expect(counted[other] == (other == outcome ? 2 : 0)) }
        #expect(counted.failed == 0)
        #expect(counted.skipped == 0)
    }

    @Test func `errors and skipped lockers are counted apart from outcomes`() {
        let counted = tally([.fails, .fails, .skipped(reason: "out of service"), .opens(.opened)])
        #expect(counted.failed == 2)
        #expect(counted.skipped == 1)
        #expect(counted[.opened] == 1)
    }

    @Test func `a difference holds what came later`() {
        var later = tally([.opens(.opened), .fails])
        let earlier = later
        later.miss(events: 3)
        later.count(
            LockerResult(
                locker: LockerIdentity(id: 1, address: "wall/1"), ending: .opens(.jammed)))
        let difference = later.since(earlier)
        #expect(difference[.opened] == 0)
        #expect(difference[.jammed] == 1)
        #expect(difference.failed == 0)
        #expect(difference.missedEvents == 3)
        #expect(later.since(later) == OpenTally())
    }
}
