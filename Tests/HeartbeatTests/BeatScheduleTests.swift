import Testing

@testable import Heartbeat

@Suite struct BeatScheduleTests {
    private let start = ContinuousClock.now

    private func schedule(every seconds: Int = 30) -> BeatSchedule {
        BeatSchedule(every: .seconds(seconds), startingAt: start)
    }

    @Test func `the first beat waits two seconds, whatever happens meanwhile`() {
        var schedule = schedule()
        #expect(schedule.due == start + .seconds(2))
        schedule.note()
        #expect(schedule.due == start + .seconds(2))
    }

    @Test(arguments: [(0.0, 27.0), (0.25, 28.5), (0.5, 30), (0.75, 31.5), (1, 33)])
    func `chance moves a beat by up to a tenth of the interval`(random: Double, pause: Double) {
        var schedule = schedule()
        schedule.sent(at: start, random: random)
        let off = start.duration(to: schedule.due) - .seconds(pause)
        #expect(abs(off / .seconds(1)) < 0.000_001)
    }

    @Test func `real chance stays within the bounds and is not always the same`() {
        var pauses: Set<Duration> = []
        for _ in 0..<1000 {
            var schedule = schedule()
            schedule.sent(at: start, random: .random(in: 0..<1))
            pauses.insert(start.duration(to: schedule.due))
        }
        #expect(pauses.allSatisfy { (.milliseconds(26_999)...Duration.seconds(33)).contains($0) })
        #expect(pauses.count > 500)
    }

    @Test func `news brings the next beat forward, but not closer than two seconds to the last`() {
        var schedule = schedule()
        schedule.sent(at: start, random: 0.5)
        schedule.note()
        #expect(schedule.due == start + .seconds(2))
        schedule.note()
        #expect(schedule.due == start + .seconds(2))
        schedule.sent(at: start + .seconds(2), random: 0.5)
        #expect(schedule.due == start + .seconds(32))
    }

    @Test func `news never puts a beat off`() {
        var schedule = schedule(every: 1)
        schedule.sent(at: start, random: 0.5)
        schedule.note()
        #expect(schedule.due == start + .seconds(1))
    }

    @Test func `a withheld beat is tried again after two seconds`() {
        var schedule = schedule()
        schedule.sent(at: start, random: 0.5)
        schedule.withheld(at: start + .seconds(35))
        #expect(schedule.due == start + .seconds(37))
    }

    @Test(arguments: [1, 3, 3600])
    func `a changed interval is told within two seconds and then holds`(seconds: Int) {
        var schedule = schedule()
        schedule.sent(at: start, random: 0.5)
        schedule.change(every: .seconds(seconds), at: start + .seconds(10))
        #expect(schedule.due == start + .seconds(12))
        schedule.sent(at: start + .seconds(12), random: 0.5)
        #expect(schedule.due == start + .seconds(12 + seconds))
    }

    @Test func `a changed interval never puts a beat off`() {
        var schedule = schedule(every: 3)
        schedule.sent(at: start, random: 0.5)
        schedule.change(every: .seconds(60), at: start + .seconds(2))
        #expect(schedule.due == start + .seconds(3))
    }
}
