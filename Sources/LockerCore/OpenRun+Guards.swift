import LockerKit
import Logging
import SiteModel

/// What stands between an open and its coil: the coil's rest, and the journal.
extension OpenRun {
    /// A coil that needs a moment is given it; one that needs more refuses.
    func rest() async throws(LockerError) {
        guard let limit = dutyLimit, limit.kind == .rest, limit.wait <= Self.longestRest else {
            if let limit = dutyLimit { throw .duty(address, limit) }
            return
        }
        if let deadline, context.clock.now + limit.wait >= deadline { throw .expired }
        do {
            try await context.clock.sleep(for: limit.wait)
        } catch {
            throw ticket.stopped ?? .cancelledBeforeFiring
        }
    }

    var dutyLimit: DutyBook.Limit? {
        context.duty.limit(address, pulse: pulse, plan: locker.coil, now: context.clock.now)
    }

    /// Writes down that the lock is about to be fired, before anybody is asked to.
    ///
    /// Throws where it cannot be written: nothing fires that nobody would know of. Only for maintenance the log must do, also
    /// when the disk does not answer at all.
    func keepIntent() async throws(LockerError) {
        guard let journal = context.journal else { return }
        if let stopped = ticket.stopped { throw stopped }
        context.environment.passing(.intending)
        let entries =
            ticket.opening + [.intent(operation: operation, locker: identity, pulse: pulse)]
        switch await outcome(of: entries, journal) {
        case .success: ticket.noteKept()
        case .failure(let failure):
            // Cancelled or expired while the disk took its time. It may yet be written; the result that follows it says so.
            if let stopped = ticket.stopped { throw stopped }
            guard isMaintenance else { throw .notKept(failure) }
            context.logger.critical(
                "maintenance open of \(address) fires unrecorded: \(failure)",
                metadata: ["operation": "\(operation)"])
            journal.note(entries, promptly: false)
        }
        context.environment.passing(.intended)
    }

    /// How long somebody who stands before the door to mend it waits for a disk.
    static let maintenancePatience: Duration = .seconds(2)

    /// What comes of the entries; a failure, too, where the task is cancelled first, or maintenance has waited for long enough.
    private func outcome(
        of entries: [JournalEntry], _ journal: any CoreJournal
    ) async -> Result<Void, JournalFailure> {
        let answer = FirstAnswer<Result<Void, JournalFailure>>()
        journal.submit(entries, synced: true) { answer.give($0) }
        let silence = Result<Void, JournalFailure>.failure(
            JournalFailure("the disk does not answer"))
        return await withTaskCancellationHandler {
            guard isMaintenance else { return await answer.value }
            return await context.patience.wait(
                for: answer, within: Self.maintenancePatience, otherwise: silence)
        } onCancel: {
            answer.give(silence)
        }
    }
}

extension LockerError {
    static func duty(_ address: String, _ limit: DutyBook.Limit) -> LockerError {
        let milliseconds = Int((limit.wait / .milliseconds(1)).rounded(.up))
        return LockerError(
            .dutyLimit,
            "locker \(address) must wait \(milliseconds) ms before it may fire again: \(limit.message)",
            retryAfter: limit.wait)
    }

    private static let notKeptStart = "the open cannot be written to the journal"

    static func notKept(_ failure: JournalFailure) -> LockerError {
        LockerError(
            .conflict, "\(notKeptStart): \(failure); only a maintenance open is possible")
    }

    /// Whether it was refused for want of a journal, and not for the state of its locker.
    var isNotKept: Bool { code == .conflict && message.hasPrefix(Self.notKeptStart) }
}
