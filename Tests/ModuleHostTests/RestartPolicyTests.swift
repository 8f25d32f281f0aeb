import ModuleHost
import Testing

@Suite("Pauses between starts of a module")
struct RestartPolicyTests {
    private var now = ContinuousClock.now
    private var policy = RestartPolicy()

    private mutating func die(after life: Duration) -> RestartPolicy.Decision {
        policy.noteStart(at: now)
        now += life
        return policy.noteEnd(.died, at: now)
    }

    @Test("double from a quarter of a second to half a minute")
    mutating func doubling() {
        var pauses: [RestartPolicy.Decision] = []
        for _ in 0..<9 {
            // Apart enough that five deaths never fall into one minute.
            pauses.append(die(after: .seconds(20)))
        }
        let seconds = [0.25, 0.5, 1, 2, 4, 8, 16, 30, 30]
        #expect(pauses == seconds.map { .pause(.seconds($0)) })
    }

    @Test("begin anew after a minute of good life, not before")
    mutating func goodLife() {
        _ = die(after: .seconds(20))
        _ = die(after: .seconds(20))
        #expect(die(after: .milliseconds(59_999)) == .pause(.seconds(1)))
        #expect(die(after: .seconds(60)) == .pause(.milliseconds(250)))
    }

    @Test("become a quarantine of ten minutes at the fifth death within a minute")
    mutating func crashLoop() {
        for _ in 0..<4 {
            guard case .pause = die(after: .seconds(15)) else {
                Issue.record("quarantined too early")
                return
            }
        }
        #expect(die(after: .zero) == .quarantine(until: now + .seconds(600)))
    }

    @Test("stay pauses when the five deaths take longer than a minute")
    mutating func slowDeaths() {
        for _ in 0..<12 {
            guard case .pause = die(after: .milliseconds(15_001)) else {
                Issue.record("quarantined although the deaths are apart")
                return
            }
        }
    }

    @Test("After a quarantine one early death is enough for the next")
    mutating func probation() {
        for _ in 0..<5 { _ = die(after: .zero) }
        now += .seconds(600)
        #expect(die(after: .seconds(1)) == .quarantine(until: now + .seconds(600)))
        now += .seconds(600)
        #expect(die(after: .seconds(60)) == .pause(.milliseconds(250)))
    }

    @Test("A person's restart forgives everything")
    mutating func forgiven() {
        for _ in 0..<5 { _ = die(after: .zero) }
        policy.forgive()
        #expect(die(after: .zero) == .pause(.milliseconds(250)))
    }

    @Test("What is refused is tried again slowly and counts as no death")
    mutating func refused() {
        for _ in 0..<10 {
            policy.noteStart(at: now)
            #expect(policy.noteEnd(.refused, at: now) == .pause(.seconds(30)))
        }
        #expect(die(after: .zero) == .pause(.milliseconds(250)))
    }

    @Test("Restarts are the starts after the first")
    mutating func restarts() {
        #expect(policy.restarts == 0)
        _ = die(after: .zero)
        #expect(policy.restarts == 0)
        _ = die(after: .zero)
        #expect(policy.restarts == 1)
    }
}
