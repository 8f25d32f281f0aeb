package import LockerKit

/// The calls of a controller, as tasks of their own: whoever waits for one may be cancelled, and what was begun on the line still
/// has to be brought to an end.
extension BusLink where Port: ~Copyable {
    /// Runs `body` alone on the line; everything in it has its own limit.
    package func run<Value: Sendable>(
        _ body: nonisolated(nonsending) @escaping @Sendable () async -> Result<Value, LockerError>
    ) async throws(LockerError) -> Value {
        // Not by the task's value, which is waited for on another thread.
        try await withCheckedContinuation { continuation in
            Task { continuation.resume(returning: await self.alone(body)) }
        }.get()
    }

    /// Runs an open alone on the line, with the ticket through which its caller can take it back.
    package func runOpen(
        _ body:
            nonisolated(nonsending) @escaping @Sendable (OpenTicket) async -> Result<
                OpenReport, LockerError
            >
    ) async throws(LockerError) -> OpenReport {
        let ticket = OpenTicket()
        return try await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                Task { continuation.resume(returning: await self.alone { await body(ticket) }) }
            }
        } onCancel: {
            ticket.cancel()
        }.get()
    }

    /// Connects for a controller that starts; errors call its board `name`.
    package func start(_ controller: String, _ name: String) async throws(LockerError) {
        try await run {
            do throws(Fault) {
                return .success(try await self.join(controller))
            } catch {
                return .failure(error.harmless(name))
            }
        }
    }
}
