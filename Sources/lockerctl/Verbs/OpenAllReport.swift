import ControlClient

/// What an open-all came to, for people.
struct OpenAllReport {
    let result: OperationResult
    var cancelled: CancelResult?

    /// Prints it and throws when a locker is not open that should be; `quiet` prints no more than the failure.
    @MainActor
    func print(quiet: Bool) throws(Failure) {
        if result.isPending {
            if !quiet { Output.line(Pending.sentence(result)) }
            return
        }
        if !quiet {
            for locker in result.results { Output.message(Sentences.result(locker)) }
            if let line = summary { Output.line(line) }
        }
        if let cancelled { throw Failure(.failed, Self.sentence(cancelled)) }
        if result.state == "cancelled" {
            throw Failure(.failed, "\(result.operation) was cancelled")
        }
        if result.results.isEmpty, result.summary == nil {
            throw Failure(.failed, Pending.untold(result))
        }
        let shut = result.results.filter { !$0.isOpened && $0.outcome != .skipped }.count
        guard shut > 0 else { return }
        throw Failure(
            .failed, "\(shut) of \(Words.count(result.results.count, "locker")) did not surely open"
        )
    }

    private var summary: String? {
        result.summary.map {
            let counts =
                "\($0.opened) opened, \($0.failed) failed, \($0.skipped) skipped, \($0.unknown) unknown"
            return "\(result.operation): \(counts)\(result.isReplayed ? Pending.replayed : "")"
        }
    }

    static func sentence(_ cancel: CancelResult) -> String {
        let fired =
            cancel.fired.isEmpty
            ? "nothing had been fired"
            : "\(cancel.fired.count) fired (\(Sentences.list(cancel.fired)))"
        let left =
            cancel.notFired.isEmpty
            ? "nothing was left to stop"
            : "\(cancel.notFired.count) will not be fired (\(Sentences.list(cancel.notFired)))"
        return "\(cancel.operation) \(cancel.state): \(fired); \(left)"
    }
}
