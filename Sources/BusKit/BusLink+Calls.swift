package import LockerKit

/// The calls of a controller, as tasks of their own: whoever waits for one may be cancelled, and what was begun on the line still
/// has to be brought to an end.
extension BusLink where Port: ~Copyable {
    /// Runs `body` alone on the line; everything in it has its own limit.
    package nonisolated func run<Value: Sendable>(
        _ body: @escaping @Sendable () async -> Result<Value, LockerError>
    ) async throws(LockerError) -> Value {
        try await Task { await self.alone(body) }.value.get()
    }

    /// Runs an open alone on the line, with the ticket through which its caller can take it back.
    package nonisolated func runOpen(
        _ body: @escaping @Sendable (OpenTicket) async -> Result<OpenReport, LockerError>
    ) async throws(LockerError) -> OpenReport {
        let ticket = OpenTicket()
        let work = Task { await self.alone { await body(ticket) } }
        return try await withTaskCancellationHandler {
            await work.value
        } onCancel: {
            ticket.cancel()
        }.get()
    }

    /// Connects for a controller that starts; errors call its board `name`.
    package nonisolated func start(_ controller: String, _ name: String) async throws(LockerError) {
        try await run {
            do throws(Fault) {
                return .success(try await self.join(controller))
            } catch {
                return .failure(error.harmless(name))
            }
        }
    }
}
