package import LockerKit
import Logging
import SiteModel

/// What the journal is told of operations and lockers.
extension Site {
    /// What stands at the beginning of an operation.
    func opening(_ view: OperationView, _ terms: Acceptance) -> [JournalEntry] {
        guard let journal = context.journal else { return [] }
        var note = AuditNote(terms.kind == .open ? .open : .openAll, context.stamp())
        note.peer = terms.peer
        note.operation = view.id
        if terms.kind == .open {
            note.locker = view.lockers.first
        } else {
            note.lockers = view.lockers.count
        }
        note.key = terms.key
        note.reason = terms.reason
        note.isMaintenance = terms.isMaintenance
        return [
            .accepted(
                AcceptedOperation(
                    id: view.id, kind: view.kind, acceptedAt: view.acceptedAt,
                    lockers: view.lockers, key: terms.key,
                    fingerprint: journal.fingerprint(of: terms.identity.text), peer: terms.peer,
                    reason: terms.reason), note)
        ]
    }

    /// How long somebody waits for a disk that does not answer before he is told what happened all the same.
    static let diskPatience: Duration = .seconds(10)

    /// What came of something that was handed to the journal.
    fileprivate enum Keeping {
        case kept
        case failed(JournalFailure)
        /// It is in line, and nobody knows for how long.
        case unanswered
    }

    /// Has the journal know the operation, where it does not yet. A journal that cannot be written is told of by every open
    /// that it refuses.
    func keepOpening(of record: OperationRecord) async {
        guard let journal = context.journal, record.ticket.isUnkept else { return }
        // Its end brings everything along, and comes at once.
        if record.ticket.isEnding {
            return await record.ticket.wait(limit: Self.diskPatience, clock: clock)
        }
        if case .kept = await submit(record.ticket.opening, to: journal, synced: true) {
            record.ticket.noteKept()
        }
    }

    /// Keeps what some lockers came to, before anybody is told.
    func keep(_ results: [LockerResult], of record: OperationRecord) async {
        guard let journal = context.journal else { return }
        let told = results.filter { !record.isUntold($0) }
        guard !told.isEmpty else { return }
        let entries = record.ticket.opening + told.flatMap { self.entries(for: $0, of: record) }
        switch await submit(entries, to: journal, synced: false) {
        case .kept: record.ticket.noteKept()
        case .unanswered: break
        case .failed:
            // Of an operation that is not known and has fired nothing there may be nothing to tell in the end.
            guard !record.ticket.isUnkept || told.contains(where: \.mayHaveFired) else { return }
            // The truth about what happened waits for a disk that takes it.
            journal.note(entries, promptly: false)
        }
    }

    /// Keeps the end of an operation, and with it the event that tells of it and what is not kept yet.
    ///
    /// `results` are all that it came to; of an open nobody has been told its one before this returns.
    func keepEnd(
        of record: OperationRecord, _ state: OperationView.State, _ results: [LockerResult],
        telling event: EventBody
    ) async {
        guard let journal = context.journal else { return events.append(event) }
        let id = record.view.id
        if record.isRefusedForWantOfJournal(results) {
            // As if it had never been accepted; only those who listen now have heard of it.
            operations.releaseKey(of: id)
            return events.append(event)
        }
        record.ticket.noteEnding()
        var entries = record.ticket.opening
        // An open's one result is kept with its end; an `open-all`'s are kept already, unless the journal knows nothing of it.
        if record.view.kind == .open || record.ticket.isUnkept {
            entries += results.flatMap { self.entries(for: $0, of: record) }
        }
        entries.append(.ended(operation: id, state: state))
        if await keep(entries, with: event, journal, synced: false) == nil {
            record.ticket.noteKept()
        }
    }

    /// What is kept of one result.
    private func entries(for result: LockerResult, of record: OperationRecord) -> [JournalEntry] {
        let id = record.view.id
        var note = AuditNote(.outcome, context.stamp())
        note.operation = id
        note.locker = result.locker
        note.result = result
        var entries: [JournalEntry] = [.result(operation: id, result), .audit(note)]
        // What was skipped has nothing new about it.
        if result.isAboutItsLock,
            let kept = context.kept(result.locker, coil: coil(of: result.locker))
        {
            entries.append(kept)
        }
        return entries
    }

    /// Handed over before anything else of this actor can be.
    private func submit(
        _ entries: [JournalEntry], to journal: any CoreJournal, synced: Bool
    ) async -> Keeping {
        let answer = FirstAnswer<Keeping>()
        journal.submit(entries, synced: synced) { answer.give(Keeping($0)) }
        return await context.patience.wait(
            for: answer, within: Self.diskPatience, otherwise: .unanswered)
    }

    /// A door opened after its open had ended as jammed: the operation, the locker and the audit say so from now on.
    func amend(_ opening: LateDoors.Opening) async {
        let (locker, late) = (opening.locker, opening.late)
        // The door may be quicker than the end of its open.
        if let record = operations[late.operation],
            !record.view.results.contains(where: { $0.locker == locker })
        {
            await record.ticket.wait(limit: nil, clock: clock)
        }
        var result: LockerResult?
        if let record = operations[late.operation],
            let place = record.view.results.firstIndex(where: { $0.locker == locker }),
            case .outcome(.jammed, _, _, var timing) = record.view.results[place].ending
        {
            timing.door = late.door
            let amended = LockerResult(
                locker: locker,
                ending: .outcome(.openedLate, evidence: .doorSensor, door: .open, timing: timing),
                attempts: record.view.results[place].attempts)
            record.view.results[place] = amended
            result = amended
        }
        guard let result else { return }
        snapshot.update(locker: locker.address) { view in
            view.wear.jams = max(0, view.wear.jams - 1)
            view.wear.doorTimes.add(late.door)
            if view.lastOpen?.operation == late.operation, let last = view.lastOpen {
                view.lastOpen = LastOpen(
                    operation: last.operation, at: last.at, outcome: .openedLate)
            }
        }
        guard let journal = context.journal else { return }
        var note = AuditNote(.amended, context.stamp())
        note.operation = late.operation
        note.locker = locker
        note.result = result
        journal.note(
            [
                .result(operation: late.operation, result),
                context.kept(locker, coil: coil(of: locker)), .audit(note),
            ].compactMap(\.self), promptly: true)
    }

    /// Writes one line of the audit.
    func audit(_ act: AuditNote.Act, _ fill: (inout AuditNote) -> Void) {
        guard let journal = context.journal else { return }
        var note = AuditNote(act, context.stamp())
        fill(&note)
        journal.note([.audit(note)], promptly: true)
    }

    /// Somebody had the configuration read again.
    package func noteReload(by peer: Peer?) {
        audit(.reload) { $0.peer = peer }
    }

    /// Somebody had an uplink's module started anew.
    package func noteRestart(uplink: String, by peer: Peer) {
        audit(.restart) { note in
            note.peer = peer
            note.subject = uplink
        }
    }

    /// Entries of the audit, oldest first.
    package func audit(_ query: AuditQuery) async throws(LockerError) -> AuditPage {
        guard let journal = context.journal else {
            throw LockerError(.conflict, "no journal is kept, so there is no audit to read")
        }
        do throws(JournalFailure) {
            // A head that somebody writes down must not be lost with the power a moment later.
            if journal.state == .durable { try await journal.record([], synced: true) }
            return try await journal.audit(query)
        } catch {
            throw LockerError(.conflict, "the audit cannot be read: \(error)")
        }
    }

    /// Keeps a locker's new service flags, and with them the event that tells of them; false where they hold only until the
    /// end of this run.
    func keepService(_ view: LockerView, by peer: Peer) async -> Bool {
        let body = EventBody.serviceChanged(locker: view.identity, service: view.service)
        guard let journal = context.journal else {
            events.append(body)
            return false
        }
        var note = AuditNote(.service, context.stamp())
        note.peer = peer
        note.locker = view.identity
        note.service = view.service
        let entries = [context.kept(view.identity, coil: coil(of: view.identity)), .audit(note)]
            .compactMap(\.self)
        guard let failure = await keep(entries, with: body, journal, synced: true) else {
            return journal.state != .memory
        }
        context.logger.error(
            "the service flags of \(view.identity.address) are not on the disk yet: \(failure)")
        return false
    }

    /// Waits until what was set before is kept: whoever set it may still be waiting for the disk.
    func keepEarlierService() async -> Bool {
        guard let journal = context.journal else { return false }
        guard case .kept = await submit([], to: journal, synced: true) else { return false }
        return journal.state != .memory
    }

    /// Keeps the entries and the event that tells of them in one transaction. Where that fails they wait for a disk that takes
    /// them: what has happened is not taken back.
    private func keep(
        _ entries: [JournalEntry], with event: EventBody, _ journal: any CoreJournal, synced: Bool
    ) async -> JournalFailure? {
        let answer = FirstAnswer<Keeping>()
        let told = events.append(event, with: entries, to: journal, synced: synced) {
            answer.give(Keeping($0))
        }
        let keeping = await context.patience.wait(
            for: answer, within: Self.diskPatience, otherwise: .unanswered)
        switch keeping {
        case .kept: return nil
        case .unanswered: return JournalFailure("the disk does not answer")
        case .failed(let failure):
            journal.note(entries + [told], promptly: false)
            return failure
        }
    }

    /// Takes over what earlier runs left.
    func restoreLegacy() {
        guard let journal = context.journal else { return }
        context.logger.log(level: journal.state.logLevel, "the journal is \(journal.state)")
        restore(coilsOf: journal.legacy.lockers)
        log(recovered: journal.legacy.recovered)
    }

    func observe(_ journal: any CoreJournal) {
        journal.observe(
            JournalObserver(
                written: { [events] in events.noteKept(upTo: $0) },
                changed: { [context] state in
                    context.snapshot.setJournal(state)
                    context.refreshHealth()
                    context.logger.log(level: state.logLevel, "the journal is \(state)")
                },
                late: { [context, weak self] legacy in
                    context.snapshot.merge(legacy.lockers)
                    context.logs.merge(legacy.cursors)
                    Task { await self?.takeOver(late: legacy) }
                }))
    }

    /// The journal could be read only now. Every locker that this run has dealt with is noted again, with what was there before.
    private func takeOver(late legacy: JournalLegacy) {
        restore(coilsOf: legacy.lockers)
        log(recovered: legacy.recovered)
        for view in legacy.recovered {
            events.append(
                .operationDone(
                    operation: view.id, kind: view.kind,
                    scope: OperationScope(view.kind, view.lockers),
                    result: view.kind == .open ? view.results.first : nil,
                    summary: OpenAllSummary(view.results)))
        }
        let views = snapshot.read { $0.lockers.map(\.view) }
        let touched = views.filter { view in
            view.lastOpen != nil || view.wear != Wear() || view.service != ServiceState()
        }
        context.journal?.note(
            touched.compactMap { context.kept($0.identity, coil: coil(of: $0.identity)) },
            promptly: true)
    }

    private func restore(coilsOf lockers: [String: KeptLocker]) {
        let (machine, now) = (context.environment.machine, clock.now)
        for (address, locker) in lockers {
            guard let coil = locker.coil else { continue }
            let elapsed = machine.monotonicMs() - coil.atMs
            let isSameBoot = coil.machineBoot == machine.boot && elapsed >= 0
            let age: Duration = isSameBoot ? .milliseconds(elapsed) : .zero
            let plan = targets[address]?.locker.coil ?? CoilPlan()
            context.duty.restore(
                address, heat: coil.heat, recent: coil.recent, age: age, plan: plan, now: now)
            if isSameBoot { context.truth.restore(address, age: age, now: now) }
        }
    }

    private func log(recovered: [OperationView]) {
        for operation in recovered {
            let endings = operation.results.map { "\($0.locker.address) \($0.ending)" }
            context.logger.warning(
                "operation \(operation.id) of an earlier run had no end: \(endings.joined(separator: ", "))"
            )
        }
    }
}

extension Site.Keeping {
    fileprivate init(_ result: Result<Void, JournalFailure>) {
        switch result {
        case .success: self = .kept
        case .failure(let failure): self = .failed(failure)
        }
    }
}

extension OperationRecord {
    /// Whether the result is that nothing could be written down, of an operation of which nothing was.
    fileprivate func isUntold(_ result: LockerResult) -> Bool {
        guard ticket.isUnkept, case .failed(let error) = result.ending else { return false }
        return error.isNotKept
    }

    /// Whether it was refused as a whole because it could not be written down. Then it is as if it had never been accepted: its
    /// key may be used again, and nobody needs to hear of it once the journal can be written.
    fileprivate func isRefusedForWantOfJournal(_ results: [LockerResult]) -> Bool {
        guard ticket.isUnkept else { return false }
        return results.contains(where: isUntold) && !results.contains(where: \.mayHaveFired)
    }
}

extension LockerResult {
    /// Whether anything was tried with the lock.
    fileprivate var isAboutItsLock: Bool {
        if case .skipped = ending { false } else { true }
    }
}

extension JournalState {
    var logLevel: Logger.Level {
        switch self {
        case .durable: .notice
        case .memory: .warning
        case .broken: .critical
        }
    }
}
