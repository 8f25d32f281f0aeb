import ControlClient
import Glibc

/// One open-all from sending it to its end, with the progress bar and Ctrl-C.
///
/// The operation's id is asked for at once (`waitMs` 0) and then followed, because without the id nothing could be
/// cancelled before the first door has moved.
@MainActor
final class OpenAllRun {
    private let session: Session
    /// What was fired when Ctrl-C was pressed; nil when it was not.
    private(set) var cancelled: CancelResult?

    private var signals: Signals?

    init(session: Session) { self.session = session }

    /// Sends the command and waits for its end, or no longer than `waitMs`.
    func finish(_ command: OpenAllCommand, waitMs: Int?) async throws -> OperationResult {
        var command = command
        command.terms.waitMs = waitMs ?? 0
        let (interrupts, interrupt) = AsyncStream<Void>.makeStream()
        watchSignals(interrupt)
        defer { signals = nil }

        let started = try await send(command)
        guard started.isPending, waitMs == nil else { return started }
        let (steps, step) = AsyncStream<OpenAllProgress>.makeStream(
            bufferingPolicy: .bufferingNewest(16))
        let bar = Task { await showProgress(steps) }
        let canceller = Task { await cancelOnInterrupt(interrupts, started.operation) }
        let outcome: Result<OperationResult, ControlError>
        do throws(ControlError) {
            outcome = .success(
                try await session.client.follow(started.operation) { step.yield($0) })
        } catch {
            outcome = .failure(error)
        }
        step.finish()
        interrupt.finish()
        await bar.value
        await canceller.value
        do {
            return try outcome.get()
        } catch {
            throw lost(error, started.operation)
        }
    }

    private func watchSignals(_ interrupt: AsyncStream<Void>.Continuation) {
        let count = SignalCount()
        signals = Signals { number in
            // Whoever presses Ctrl-C twice does not want to wait for the daemon.
            if count.next() > 1 { _exit(128 + number) }
            interrupt.yield()
        }
    }

    private func send(_ command: OpenAllCommand) async throws(Failure) -> OperationResult {
        do throws(ControlError) {
            return try await session.client.openAll(command)
        } catch {
            guard case .connectionLost(_, let reason) = error else { throw session.explain(error) }
            throw Failure(
                .failed,
                "unknown whether any lock fired: the connection to lockerd was lost before the answer "
                    + "came (\(reason)); look at the doors, or at \"lockerctl status\", before you try "
                    + "again")
        }
    }

    private func lost(_ error: any Error, _ operation: String) -> Failure {
        let reason = (error as? ControlError)?.description ?? "\(error)"
        return Failure(
            .failed,
            "lost sight of \(operation), which may still be going on: \(reason); "
                + "\"lockerctl operation \(operation)\" shows what became of it, "
                + "\"lockerctl cancel \(operation)\" stops it")
    }

    private func showProgress(_ steps: AsyncStream<OpenAllProgress>) async {
        guard Output.isErrorTerminal, !session.isJSON else { return }
        for await step in steps { ProgressBar.show(step) }
        ProgressBar.erase()
    }

    private func cancelOnInterrupt(_ interrupts: AsyncStream<Void>, _ operation: String) async {
        for await _ in interrupts {
            do throws(ControlError) {
                cancelled = try await session.client.cancel(operation)
            } catch {
                Output.error("lockerctl: \(operation) could not be cancelled: \(error)")
            }
        }
    }
}
