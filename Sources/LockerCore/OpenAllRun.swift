import LockerKit

/// Sends the lockers of an `open-all` on their way, those of each lane in order.
struct OpenAllRun: Sendable {
    let runs: [OpenRun]

    func perform(_ note: @escaping @Sendable (LockerResult) async -> Void) async {
        let lines = Dictionary(grouping: runs) { ObjectIdentifier($0.target.lane) }
        await withTaskGroup(of: Void.self) { group in
            for line in lines.values {
                group.addTask { await performLine(line, note) }
            }
        }
    }

    /// One locker after the other takes its place in the supply, so that they fire in order, ten thousand lockers are not ten
    /// thousand tasks, and a lane that hangs keeps only its own lockers waiting. Nobody waits here for a pulse in another lane's queue or for a door.
    private func performLine(
        _ runs: [OpenRun], _ note: @escaping @Sendable (LockerResult) async -> Void
    ) async {
        await withTaskGroup(of: Void.self) { group in
            for run in runs {
                guard run.gate.tryEnter() else {
                    group.addTask { await note(await run.perform()) }
                    continue
                }
                do throws(LockerError) {
                    try await run.takeSupply()
                } catch {
                    guard run.mayRetry(error, after: 1) else {
                        await note(LockerResult(locker: run.identity, ending: .failed(error)))
                        continue
                    }
                    // Another attempt keeps nobody else waiting.
                    group.addTask { await note(await run.perform(first: .failed(error))) }
                    continue
                }
                group.addTask { await note(await run.perform(first: run.proceed())) }
            }
        }
    }
}
