import LockerKit
import LockerKitTesting
import Locks
import TestSupport
import Testing

@testable import HTTPUplink

/// An upstream whose answers are written down beforehand; the last one goes on for ever.
private final class Script: Transport {
    struct Request: Sendable {
        let headers: [String: String]
        let timeout: Duration
        let at: ContinuousClock.Instant
    }

    enum Step: Sendable {
        case answer(Answer)
        case fail(LockerError)
    }

    private let state: Mutex<(steps: [Step], requests: [Request])>
    private let clock: ManualClock

    init(_ steps: [Step], clock: ManualClock) {
        state = Mutex((steps, []))
        self.clock = clock
    }

    var requests: [Request] { state.withLock { $0.requests } }

    func post(
        _ beat: String, headers: [(name: String, value: String)], timeout: Duration
    ) async throws(LockerError) -> Answer {
        let step = state.withLock { state in
            state.requests.append(
                Request(
                    headers: Dictionary(headers.map { ($0.name, $0.value) }) { first, _ in first },
                    timeout: timeout, at: clock.now))
            return state.steps.count > 1 ? state.steps.removeFirst() : state.steps[0]
        }
        switch step {
        case .answer(let answer): return answer
        case .fail(let error): throw error
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct CourierTests {
    private let clock = ManualClock()
    private let log = LogRecorder()

    private func courier(_ script: Script, tokenFile: String? = nil) throws -> Courier {
        let settings = UplinkSettings(
            endpoint: try Endpoint("https://monitor.example/"), tokenFile: tokenFile)
        return Courier(
            settings: settings, transport: script, files: FileReader(logger: log.logger),
            clock: clock,
            logger: log.logger, random: { 0 }, wallSeconds: { 1_000_000_000 })
    }

    /// Delivers while turning the clock to whenever the courier wants to go on.
    private func deliver(_ courier: Courier) async -> LockerError? {
        let task = Task {
            do throws(LockerError) {
                try await courier.deliver("{}", key: "boot-7")
                return LockerError?.none
            } catch {
                return error
            }
        }
        let isDone = Mutex(false)
        let watcher = Task {
            _ = await task.value
            isDone.withLock { $0 = true }
        }
        while !isDone.withLock({ $0 }) {
            if clock.sleepers > 0 { clock.advance(by: .milliseconds(10)) }
            await Task.yield()
        }
        await watcher.value
        return await task.value
    }

    @Test func `pauses double up to eight seconds, less by chance by up to a half`() {
        let whole = (1...8).map { Courier.pause(after: $0, random: 0) / .milliseconds(1) }
        #expect(whole == [500, 1000, 2000, 4000, 8000, 8000, 8000, 8000])
        for attempt in [1, 5, 100, Int.max] {
            let longest = Courier.pause(after: attempt, random: 0)
            let shortest = Courier.pause(after: attempt, random: 0.999_999)
            #expect(shortest < longest * 0.51)
            #expect(shortest >= longest * 0.5)
        }
    }

    @Test func `trouble that passes costs pauses, not the beat`() async throws {
        let script = Script(
            [
                .answer(Answer(status: 500)), .fail(LockerError(.linkDown, "refused")),
                .fail(LockerError(.timedOut, "slow")), .answer(Answer(status: 200)),
            ], clock: clock)
        #expect(await deliver(try courier(script)) == nil)
        let times = script.requests.map(\.at)
        let pauses = zip(times, times.dropFirst()).map { $0.duration(to: $1) }
        #expect(pauses == [.milliseconds(500), .seconds(1), .seconds(2)])
        #expect(Set(script.requests.map { $0.headers["Idempotency-Key"] }) == ["boot-7"])
    }

    @Test func `trouble that stays ends within the time a delivery has`() async throws {
        let script = Script([.fail(LockerError(.linkDown, "cannot connect"))], clock: clock)
        let start = clock.now
        let error = await deliver(try courier(script))
        #expect(error?.code == .linkDown)
        #expect(error?.message == "cannot connect")
        #expect(script.requests.count == 6)
        #expect(start.duration(to: clock.now) <= Courier.budget - .seconds(10))
    }

    @Test(arguments: [(17, 2), (18, 1)])
    func `an attempt is begun only where it can have its whole time`(
        pause: Int, attempts: Int
    ) async throws {
        let answer = Answer(status: 503, retryAfter: "\(pause)")
        let script = Script([.answer(answer)], clock: clock)
        let error = await deliver(try courier(script))
        #expect(error?.message.contains("it asks to wait \(pause) s") == true)
        #expect(script.requests.map(\.timeout) == Array(repeating: .seconds(10), count: attempts))
    }

    @Test(arguments: [
        LockerError(.refused, "certificate"), LockerError(.invalidRequest, "ca_file"),
        LockerError(.cancelled, "cancelled"),
    ])
    func `what will not pass is not tried again`(problem: LockerError) async throws {
        let script = Script([.fail(problem)], clock: clock)
        #expect(await deliver(try courier(script)) == problem)
        #expect(script.requests.count == 1)
    }

    @Test func `without a token file no token is sent`() async throws {
        let script = Script([.answer(Answer(status: 204))], clock: clock)
        #expect(await deliver(try courier(script)) == nil)
        #expect(script.requests[0].headers["Authorization"] == nil)
        #expect(script.requests[0].headers["Content-Type"] == "application/json")
        #expect(script.requests[0].headers["User-Agent"] == "lockerd-http/\(HTTPUplink.version)")
    }

    @Test func `without a readable token nothing is sent`() async throws {
        let script = Script([.answer(Answer(status: 200))], clock: clock)
        let error = await deliver(try courier(script, tokenFile: "/nonexistent/token"))
        #expect(error?.code == .invalidRequest)
        #expect(script.requests.isEmpty)
    }

    @Test func `the token is read anew for every attempt and stays out of the log`() async throws {
        try await withTemporaryDirectory { folder in
            let file = "\(folder)/token"
            try write("first-s3cret", to: file, mode: 0o600)
            let script = Script(
                [
                    .answer(Answer(status: 500, body: Array("bad first-s3cret".utf8))),
                    .answer(Answer(status: 401, body: Array("bad second-s3cret".utf8))),
                ], clock: clock)
            let courier = try courier(script, tokenFile: file)
            let delivery = Task { try await courier.deliver("{}", key: "k") }
            await clock.waitForSleepers(1)
            try write("second-s3cret", to: file, mode: 0o600)
            clock.advance(by: .milliseconds(500))
            let error = await #expect(throws: LockerError.self) { try await delivery.value }
            let sent = script.requests.map { $0.headers["Authorization"] }
            #expect(sent == ["Bearer first-s3cret", "Bearer second-s3cret"])
            #expect(error?.message == "monitor.example:443 answered 401 (check token_file)")
            #expect(!log.lines.isEmpty)
            #expect(!log.lines.contains { $0.message.contains("s3cret") })
        }
    }

    @Test func `a cancelled delivery ends at once`() async throws {
        let script = Script([.answer(Answer(status: 500))], clock: clock)
        let courier = try courier(script)
        let task = Task { try await courier.deliver("{}", key: "k") }
        await clock.waitForSleepers(1)
        task.cancel()
        let result = await task.result
        #expect(throws: LockerError(.cancelled, "the delivery was cancelled", sent: .maybe)) {
            try result.get()
        }
    }
}
