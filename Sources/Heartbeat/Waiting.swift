import LockerKit

/// Waits for `task`, but no longer than `limit`; true when it ended in time.
///
/// The task is left alone either way: what hangs must not make whoever asks hang too.
func ends(
    _ task: Task<Void, Never>, within limit: Duration, on clock: any MonotonicClock
) async -> Bool {
    let (answers, answer) = AsyncStream.makeStream(
        of: Bool.self, bufferingPolicy: .bufferingOldest(1))
    let timer = Task {
        try? await clock.sleep(until: clock.now.advanced(by: limit), tolerance: nil)
        answer.yield(false)
    }
    Task {
        await task.value
        answer.yield(true)
    }
    defer { timer.cancel() }
    for await isInTime in answers { return isInTime }
    return false
}

/// Asks the core for a sign of life.
actor CoreProbe {
    /// Time the core has to answer; a beat that waits longer would speak for a core that opens no doors.
    static let limit: Duration = .seconds(5)

    private let ping: @Sendable () async -> Void
    private let clock: any MonotonicClock
    /// A question that was not answered yet; there is never a second one beside it.
    private var pending: Task<Void, Never>?

    init(clock: any MonotonicClock, ping: @escaping @Sendable () async -> Void) {
        self.clock = clock
        self.ping = ping
    }

    /// Whether the core answers within the limit.
    func answers() async -> Bool {
        let question = pending ?? Task { [ping] in await ping() }
        pending = question
        let isAnswered = await ends(question, within: Self.limit, on: clock)
        if isAnswered { pending = nil }
        return isAnswered
    }
}
