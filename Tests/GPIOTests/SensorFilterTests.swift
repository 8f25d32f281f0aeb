import Testing

@testable import GPIODriver

@Suite struct `A sensor's line` {
    private let start = ContinuousClock.now

    private func at(_ milliseconds: Int) -> ContinuousClock.Instant {
        start + .milliseconds(milliseconds)
    }

    /// Read as low once, and still for `still` milliseconds.
    private func filter(still: Int = 10) -> SensorFilter {
        var filter = SensorFilter(still: .milliseconds(still), at: start)
        #expect(filter.finding.level == nil)
        #expect(filter.note(reading: false, at: start) == .init(level: false, at: start))
        return filter
    }

    @Test func `counts as changed when it has been still, from its first edge on`() {
        var filter = filter()
        #expect(filter.note(edge: true, at: at(100)) == nil)
        #expect(filter.finding == .init(level: false, at: start))
        #expect(filter.nextDue == at(110))
        #expect(filter.pass(at(109)) == nil)
        #expect(filter.pass(at(110)) == .init(level: true, at: at(100)))
        #expect(filter.nextDue == nil)
    }

    @Test func `that bounces counts from the last bounce on`() {
        var filter = filter()
        for (moment, level) in [(100, true), (101, false), (103, true), (104, false), (108, true)] {
            #expect(filter.note(edge: level, at: at(moment)) == nil)
        }
        #expect(filter.pass(at(117)) == nil)
        #expect(filter.pass(at(118)) == .init(level: true, at: at(108)))
    }

    @Test func `that only twitches has not changed`() {
        var filter = filter()
        _ = filter.note(edge: true, at: at(100))
        #expect(filter.note(edge: false, at: at(105)) == nil)
        #expect(filter.pass(at(500)) == nil)
        // What came back is no sight of a level that stands.
        #expect(filter.finding == .init(level: false, at: start))
        _ = filter.note(reading: false, at: at(106))
        #expect(filter.finding.at == start)
        _ = filter.note(reading: false, at: at(115))
        #expect(filter.finding.at == at(115))
    }

    /// Mains hum on an open wire, faster than what counts as a change: every reading has a level, and none means anything.
    @Test func `that never rests tells nothing until it does`() {
        var filter = filter()
        var news: [SensorFilter.Finding] = []
        for half in 0..<200 {
            let moment = at(100 + half * 7)
            if let new = filter.note(edge: half.isMultiple(of: 2), at: moment) { news.append(new) }
            if let new = filter.note(reading: half.isMultiple(of: 2), at: moment) {
                news.append(new)
            }
        }
        #expect(news.map(\.level) == [nil])
        #expect(news.first.map { start.duration(to: $0.at) } == .zero)
        let last = at(100 + 199 * 7)
        #expect(filter.pass(last + .milliseconds(1990)) == nil)
        #expect(filter.pass(last + .milliseconds(2010))?.level == false)
    }

    @Test func `tells at once where nothing has to be still`() {
        var filter = filter(still: 0)
        #expect(filter.note(edge: true, at: at(7)) == .init(level: true, at: at(7)))
        #expect(filter.note(edge: false, at: at(8)) == .init(level: false, at: at(8)))
    }

    @Test func `whose edge was lost is found by the next reading`() {
        var filter = filter()
        #expect(filter.note(reading: true, at: at(500)) == nil)
        #expect(filter.pass(at(510)) == .init(level: true, at: at(500)))
        // And the edge that comes late says when it really was.
        _ = filter.note(reading: false, at: at(600))
        _ = filter.note(edge: false, at: at(598))
        #expect(filter.pass(at(608)) == .init(level: false, at: at(598)))
    }

    @Test func `is as old as its last reading`() {
        var filter = filter()
        _ = filter.note(reading: false, at: at(300))
        #expect(filter.finding.at == at(300))
        // A change that does not count yet leaves the old level as old as it is.
        _ = filter.note(edge: true, at: at(400))
        _ = filter.note(reading: true, at: at(405))
        #expect(filter.finding == .init(level: false, at: at(300)))
    }

    @Test func `that flaps tells nothing until it has been still for a while`() {
        var filter = filter()
        var news: [SensorFilter.Finding] = []
        for change in 0..<200 {
            let moment = 1000 + change * 50
            if let new = filter.note(edge: change.isMultiple(of: 2), at: at(moment)) {
                news.append(new)
            }
            if let new = filter.pass(at(moment + 20)) { news.append(new) }
        }
        // Nine changes that are believed, one that says: not any more.
        #expect(news.count == 10)
        #expect(news.last?.level == nil && filter.isFlapping)
        #expect(filter.finding.level == nil)
        let last = at(1000 + 199 * 50)
        #expect(filter.pass(last + .milliseconds(1990)) == nil)
        #expect(filter.pass(last + .milliseconds(2100))?.level == false)
        #expect(!filter.isFlapping)
    }

    @Test func `of a door that is opened and closed by hand does not flap`() {
        var filter = filter()
        var news = 0
        for change in 0..<40 {
            let moment = 1000 + change * 400
            if filter.note(edge: change.isMultiple(of: 2), at: at(moment)) != nil { news += 1 }
            if filter.pass(at(moment + 20)) != nil { news += 1 }
        }
        #expect(news == 40)
        #expect(!filter.isFlapping)
    }
}
